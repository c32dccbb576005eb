import { type IpAddress, tryParseIp } from '#model/address/ip.ts';
import type { MeshState } from '#model/mesh/mesh-state.ts';
import { type AppProtocol, type Service, type ServiceKey, serviceKeyOf, waypointsOf } from '#model/mesh/service.ts';
import type { Workload } from '#model/mesh/workload.ts';
import type { L7Policies } from '#model/policy/l7.ts';
import { type CompiledRules, DEFAULT_RULES } from '#model/telemetry/compiled-rules.ts';
import { isBoundTo, type WaypointSelf } from '#waypoint/self/self.ts';
import type { Snapshot } from '#waypoint/state/snapshot.ts';

/** What a client dialled. `address`: VIP, workload address, or service hostname. */
export type Dialled = { address: string; port: number };

/** What a connection leads to. */
export type Destination =
  | {
      readonly kind: 'service';
      readonly key: ServiceKey;
      readonly port: number;
      readonly appProtocol: AppProtocol;
      /** Null when a hostname was dialled. */
      readonly address: IpAddress | null;
    }
  | { readonly kind: 'workload'; readonly workload: Workload; readonly address: IpAddress; readonly port: number };

/** A destination, or why there is none. */
export type Resolution =
  | { readonly kind: 'found'; readonly destination: Destination }
  /** 400: not ours to serve. 503: not known (yet), a retry may help. */
  | { readonly kind: 'refused'; readonly status: 400 | 503; readonly why: string };

/** What a waypoint knows when it resolves a destination. `snapshot` null: no configuration yet. */
export type Known = { readonly self: WaypointSelf; readonly mesh: MeshState; readonly snapshot: Snapshot | null };

/** Finds the bound service or workload a client dialled. A waypoint without configuration refuses everything. */
export function resolveDestination(known: Known, dialled: Dialled): Resolution {
  if (known.snapshot === null) return refused(503, 'the waypoint has no configuration yet');
  const ip = tryParseIp(dialled.address);
  const candidates = ip === null ? known.mesh.servicesByHostname(dialled.address) : known.mesh.servicesAt(ip);
  const bound = candidates.find((service) => known.snapshot?.services.has(serviceKeyOf(service)));
  if (bound !== undefined) return resolvePort(bound, ip, dialled.port);
  const [unbound] = candidates;
  // A binding that the configuration does not hold yet must not be served without its policies.
  if (unbound !== undefined)
    return refused(
      waypointsOf(unbound).some((one) => isBoundTo(known.self, one, known.mesh)) ? 503 : 400,
      `${serviceKeyOf(unbound)} is not bound to this waypoint`,
    );
  return ip === null ? refused(503, `${dialled.address} is unknown`) : resolveWorkload(known, ip, dialled.port);
}

/** Whether what a connection leads to is still this waypoint's to serve: it was when the connection was accepted. */
export function isServed({ self, mesh, snapshot }: Known, destination: Destination): boolean {
  if (snapshot === null) return false;
  if (destination.kind === 'workload') {
    const workload = mesh.workload(destination.workload.uid);
    return workload !== null && isBoundTo(self, workload.waypoint, mesh);
  }
  const { key, port } = destination;
  return snapshot.services.has(key) && mesh.service(key)?.ports.some(({ servicePort }) => servicePort === port) === true;
}

/** Whether those who send there had better do so over another connection: it is not served here any more, or not for long. */
export function isStranded(known: Known, destination: Destination): boolean {
  if (!isServed(known, destination)) return true;
  return destination.kind === 'service' && known.snapshot?.services.get(destination.key)?.config.leaving === true;
}

/** The policies that apply to what is sent there; null when its service is not bound to this waypoint (any more). */
export function policiesFor(destination: Destination, snapshot: Snapshot): L7Policies | null {
  return destination.kind === 'workload' ? snapshot.workloadPolicies : (snapshot.services.get(destination.key)?.policies ?? null);
}

/** What is told of what is sent there; of a service that has left the waypoint, all, as nobody says otherwise any more. */
export function telemetryFor(destination: Destination, snapshot: Snapshot): CompiledRules {
  if (destination.kind === 'workload') return snapshot.telemetry;
  return snapshot.services.get(destination.key)?.telemetry ?? DEFAULT_RULES;
}

function resolvePort(service: Service, address: IpAddress | null, port: number): Resolution {
  const declared = service.ports.find((candidate) => candidate.servicePort === port);
  if (declared === undefined) return refused(503, `${serviceKeyOf(service)} has no port ${port}`);
  return {
    kind: 'found',
    destination: { kind: 'service', key: serviceKeyOf(service), port, appProtocol: declared.appProtocol, address },
  };
}

function resolveWorkload(known: Known, address: IpAddress, port: number): Resolution {
  const workload = known.mesh.workloadByIp(address);
  if (workload === null) return refused(503, `${address} is unknown`);
  if (!isBoundTo(known.self, workload.waypoint, known.mesh)) return refused(400, `${workload.uid} is not bound to this waypoint`);
  return { kind: 'found', destination: { kind: 'workload', workload, address, port } };
}

function refused(status: 400 | 503, why: string): Resolution {
  return { kind: 'refused', status, why };
}
