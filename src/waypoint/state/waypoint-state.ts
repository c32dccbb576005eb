import type { IpAddress } from '#model/address/ip.ts';
import { targetPort } from '#model/balancing/endpoints.ts';
import type { MeshState, Touched } from '#model/mesh/mesh-state.ts';
import { type Service, type ServiceKey, serviceKeyOf } from '#model/mesh/service.ts';
import type { Workload } from '#model/mesh/workload.ts';
import type { WaypointConfig } from '#model/waypoint/config.ts';
import { ServiceState, UpstreamEndpoint } from '#waypoint/state/kept.ts';
import { Slots } from '#waypoint/state/slots.ts';
import { type BoundService, NO_CONFIGURATION, Preparation, type Problem, type Snapshot } from '#waypoint/state/snapshot.ts';

/**
 * What a waypoint remembers from one request to the next, by service and by endpoint. A new configuration or a change
 * of the mesh reconciles it: what stays keeps its values, what leaves loses them, and nothing is built anew. Without
 * that, each edit of a route would hand every client a full rate-limit bucket and every broken endpoint a clean record.
 */
export class WaypointState {
  readonly perService = new Slots<ServiceState>();
  readonly perEndpoint = new Slots<UpstreamEndpoint>();
  /** What is compiled from each service of a configuration, and lives as long as that configuration. */
  readonly bindings = new Slots<BoundService>();
  readonly #mesh: MeshState;
  readonly #services = new Map<ServiceKey, ServiceState>();
  /** By workload. */
  readonly #endpoints = new Map<string, UpstreamEndpoint[]>();
  /** What is compiled for the next configuration. */
  readonly next = new Preparation(this.bindings);
  #snapshot: Snapshot = NO_CONFIGURATION;

  /** `mesh` is only read here. */
  constructor(mesh: MeshState) {
    this.#mesh = mesh;
  }

  get counts(): { services: number; endpoints: number } {
    let endpoints = 0;
    for (const ofWorkload of this.#endpoints.values()) endpoints += ofWorkload.length;
    return { services: this.#services.size, endpoints };
  }

  /** The configuration in force. */
  get snapshot(): Snapshot {
    return this.#snapshot;
  }

  /** Compiles a configuration (null: there is none) and puts it in force. */
  configure(config: WaypointConfig | null, problem: Problem): Snapshot {
    if (config === null) return this.putInForce(null);
    const { services, ...base } = config;
    this.next.begin(base);
    for (const service of services) this.next.add(service, problem);
    return this.putInForce(services.map(({ key }) => key));
  }

  /** Puts in force what is compiled of these services; null: there is no configuration. Throws when it is not all of it. */
  putInForce(keys: readonly ServiceKey[] | null): Snapshot {
    this.#snapshot = keys === null ? NO_CONFIGURATION : this.next.finish(keys, (key) => this.#serviceOf(key));
    for (const key of [...this.#services.keys()]) this.#reviewService(key);
    return this.#snapshot;
  }

  /** The mesh has changed, as its `apply` reported. */
  meshChanged(touched: Touched): void {
    for (const key of touched.services) {
      this.#reviewService(key);
      const service = this.#services.get(key);
      if (service !== undefined) service.version++;
    }
    for (const uid of touched.workloads) this.#reviewEndpoints(uid);
  }

  /** Null for a service that neither the mesh nor the configuration knows. */
  service(key: ServiceKey): ServiceState | null {
    return this.#services.get(key) ?? (this.#isKnown(key) ? this.#serviceOf(key) : null);
  }

  services(): Iterable<ServiceState> {
    return this.#services.values();
  }

  /** `service`: for which it is chosen; null when the workload itself was dialled. */
  endpoint(workload: Workload, ip: IpAddress, port: number, service: Service | null = null): UpstreamEndpoint {
    const known = this.#endpoints.get(workload.uid) ?? [];
    const found = known.find((one) => one.ip === ip && one.port === port && allowsSamePeers(one.service, service));
    if (found !== undefined) {
      found.workload = workload;
      found.service = service;
      return found;
    }
    const endpoint = new UpstreamEndpoint(workload, ip, port, service);
    this.#endpoints.set(workload.uid, [...known, endpoint]);
    return endpoint;
  }

  *endpoints(): Iterable<UpstreamEndpoint> {
    for (const ofWorkload of this.#endpoints.values()) yield* ofWorkload;
  }

  /**
   * Forgets endpoints whose workload stays but to which no service port leads any more, once nothing of them is in use.
   * Without it, every change of a target port and every port that a client tries on a workload would be kept.
   */
  forgetIdle(): void {
    for (const [uid, known] of [...this.#endpoints]) {
      this.#keepEndpoints(
        uid,
        known,
        (endpoint) => endpoint.active > 0 || this.perEndpoint.isInUse(endpoint) || this.#isOffered(endpoint),
      );
    }
  }

  /** Everything leaves. */
  clear(): void {
    for (const service of this.#services.values()) this.perService.drop(service);
    this.#services.clear();
    for (const [uid, known] of [...this.#endpoints]) this.#keepEndpoints(uid, known, () => false);
  }

  /** Whether a port of one of the workload's services leads to the endpoint, whatever its health and locality. */
  #isOffered({ workload, port, service: chosenFor }: UpstreamEndpoint): boolean {
    for (const key of workload.services.keys()) {
      const service = this.#mesh.service(key);
      if (chosenFor !== null && !allowsSamePeers(chosenFor, service)) continue;
      if (service?.ports.some(({ servicePort }) => targetPort(service, workload, servicePort) === port)) return true;
    }
    return false;
  }

  #serviceOf(key: ServiceKey): ServiceState {
    const known = this.#services.get(key);
    if (known !== undefined) return known;
    const service = new ServiceState(key);
    this.#services.set(key, service);
    return service;
  }

  #isKnown(key: ServiceKey): boolean {
    return this.#snapshot.services.has(key) || this.#mesh.service(key) !== null;
  }

  #reviewService(key: ServiceKey): void {
    const service = this.#services.get(key);
    if (service === undefined || this.#isKnown(key)) return;
    this.perService.drop(service);
    this.#services.delete(key);
  }

  #reviewEndpoints(uid: string): void {
    const workload = this.#mesh.workload(uid);
    this.#keepEndpoints(uid, this.#endpoints.get(uid) ?? [], (endpoint) => {
      const stays = workload?.addresses.includes(endpoint.ip) === true && sameReach(workload, endpoint.workload);
      if (stays) endpoint.workload = workload;
      return stays;
    });
  }

  #keepEndpoints(uid: string, known: readonly UpstreamEndpoint[], stays: (endpoint: UpstreamEndpoint) => boolean): void {
    const kept = known.filter((endpoint) => {
      if (stays(endpoint)) return true;
      endpoint.gone = true;
      this.perEndpoint.drop(endpoint);
      return false;
    });
    if (kept.length === 0) this.#endpoints.delete(uid);
    else if (kept.length < known.length) this.#endpoints.set(uid, kept);
  }
}

/** Whether it is one service, and allows its endpoints the same identities: connections made under others are not used. */
function allowsSamePeers(a: Service | null, b: Service | null): boolean {
  if (a === null || b === null) return a === b;
  return serviceKeyOf(a) === serviceKeyOf(b) && a.subjectAltNames.join(' ') === b.subjectAltNames.join(' ');
}

/** Whether what is known of an endpoint still holds: same identity, same node, same way to reach it. */
function sameReach(a: Workload, b: Workload): boolean {
  return (
    a.serviceAccount === b.serviceAccount &&
    a.trustDomain === b.trustDomain &&
    a.node === b.node &&
    a.tunnelProtocol === b.tunnelProtocol
  );
}
