import { type Family, familyOf, type IpAddress } from '#model/address/ip.ts';
import { type Endpoint, eligibleEndpoints } from '#model/balancing/endpoints.ts';
import type { MeshState, Touched } from '#model/mesh/mesh-state.ts';
import type { AppProtocol, Service, ServiceKey } from '#model/mesh/service.ts';
import type { Workload } from '#model/mesh/workload.ts';
import { type EndpointSet, endpointSet } from '#model/routing/least-request.ts';
import type { Counters } from '#waypoint/self/counters.ts';
import type { ClientInfo, WaypointEffects } from '#waypoint/self/effects.ts';
import { locationOf, type WaypointSelf } from '#waypoint/self/self.ts';
import { ConnectionPool } from '#waypoint/upstream/connection-pool.ts';
import { dial } from '#waypoint/upstream/dial.ts';
import { UpstreamEndpoint } from '#waypoint/upstream/endpoint.ts';

/** A service port with the endpoints to choose from; worked out once, until the mesh changes. */
export type UpstreamService = { readonly appProtocol: AppProtocol; readonly set: EndpointSet<UpstreamEndpoint> };

type UpstreamsContext = {
  readonly self: WaypointSelf;
  readonly mesh: MeshState;
  readonly effects: WaypointEffects;
  readonly counters: Counters;
};

/** Everything this waypoint can send to, with the connections it holds. */
export class Upstreams {
  readonly #context: UpstreamsContext;
  /** Service → port and family → choice. */
  readonly #services = new Map<ServiceKey, Map<number, UpstreamService | null>>();
  readonly #endpoints = new Map<string, UpstreamEndpoint[]>();

  constructor(context: UpstreamsContext) {
    this.#context = context;
  }

  /** Null when the service, or that port of it, does not exist. Endpoints of `family` if there are any, else of the other. */
  service(key: ServiceKey, port: number, family: Family): UpstreamService | null {
    const ports = this.#services.get(key) ?? new Map<number, UpstreamService | null>();
    const place = port * 8 + family;
    const known = ports.get(place);
    if (known !== undefined) return known;
    const found = this.#resolve(key, port, family);
    ports.set(place, found);
    this.#services.set(key, ports);
    return found;
  }

  /** One port of a workload, dialled as such. */
  workload(workload: Workload, ip: IpAddress, port: number): UpstreamEndpoint {
    return this.#endpoint(this.#context.mesh.workload(workload.uid) ?? workload, ip, port);
  }

  /** The connections to an endpoint that serve `client`'s identity. */
  pool(endpoint: UpstreamEndpoint, principal: string | null, client: ClientInfo): ConnectionPool {
    const key = principal ?? '';
    const known = endpoint.pools.get(key);
    if (known !== undefined) return known;
    const { self, effects, counters } = this.#context;
    const pool = new ConnectionPool({
      clock: effects.clock,
      http2: effects.http2,
      counters,
      dial: () => dial(self, effects, endpoint, client),
    });
    endpoint.pools.set(key, pool);
    return pool;
  }

  /** Forgets what the change touched; connections to endpoints that are gone close once their requests are done. */
  meshChanged(touched: Touched): void {
    for (const key of touched.services) this.#services.delete(key);
    for (const uid of touched.workloads) this.#reviewEndpoints(uid);
  }

  /** Closes connections that were idle too long. */
  sweep(): void {
    for (const endpoints of this.#endpoints.values()) {
      for (const endpoint of endpoints) {
        for (const [principal, pool] of endpoint.pools) if (pool.sweep()) endpoint.pools.delete(principal);
      }
    }
  }

  retireAll(): void {
    for (const endpoints of this.#endpoints.values()) for (const endpoint of endpoints) endpoint.retire();
    this.#endpoints.clear();
    this.#services.clear();
  }

  #resolve(key: ServiceKey, port: number, family: Family): UpstreamService | null {
    const service = this.#context.mesh.service(key);
    const declared = service?.ports.find((candidate) => candidate.servicePort === port);
    if (service === null || declared === undefined) return null;
    let eligible = this.#eligible(service, port, family);
    if (eligible.length === 0) eligible = this.#eligible(service, port, family === 4 ? 6 : 4);
    const endpoints = eligible.map(({ workload, ip, port: target, weight }) => {
      const endpoint = this.#endpoint(workload, ip, target);
      endpoint.capacity = weight;
      endpoint.serviceHost = service.hostname;
      return endpoint;
    });
    return { appProtocol: declared.appProtocol, set: endpointSet(endpoints) };
  }

  #eligible(service: Service, port: number, family: Family): Endpoint[] {
    return eligibleEndpoints(this.#context.mesh, service, port, family, locationOf(this.#context.self));
  }

  #endpoint(workload: Workload, ip: IpAddress, port: number): UpstreamEndpoint {
    const known = this.#endpoints.get(workload.uid) ?? [];
    const found = known.find((endpoint) => endpoint.ip === ip && endpoint.port === port);
    if (found !== undefined) {
      found.workload = workload;
      return found;
    }
    const endpoint = new UpstreamEndpoint(workload, ip, port);
    this.#endpoints.set(workload.uid, [...known, endpoint]);
    return endpoint;
  }

  #reviewEndpoints(uid: string): void {
    const workload = this.#context.mesh.workload(uid);
    const kept = (this.#endpoints.get(uid) ?? []).filter((endpoint) => {
      const stays = workload?.addresses.includes(endpoint.ip) === true && sameReach(workload, endpoint.workload);
      if (stays) endpoint.workload = workload;
      else endpoint.retire();
      return stays;
    });
    if (kept.length === 0) this.#endpoints.delete(uid);
    else this.#endpoints.set(uid, kept);
  }
}

/** Whether connections to the workload may go on: same identity, same node, same way to reach it. */
function sameReach(a: Workload, b: Workload): boolean {
  return (
    a.serviceAccount === b.serviceAccount &&
    a.trustDomain === b.trustDomain &&
    a.node === b.node &&
    a.tunnelProtocol === b.tunnelProtocol
  );
}

/** The address family to prefer for a client that dialled `address`. */
export function familyFor(address: IpAddress | null): Family {
  return address === null ? 4 : familyOf(address);
}
