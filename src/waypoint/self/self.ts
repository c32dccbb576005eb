import { parseIp } from '#model/address/ip.ts';
import { type ClientLocation, placeIn } from '#model/balancing/endpoints.ts';
import type { Clock } from '#model/effects/clock.ts';
import { type Identity, sameIdentity } from '#model/identity/identity.ts';
import type { MeshState } from '#model/mesh/mesh-state.ts';
import type { GatewayAddress } from '#model/mesh/service.ts';
import { identityOf, type Workload } from '#model/mesh/workload.ts';
import type { Caller } from '#model/path/reach.ts';
import { WAYPOINT } from '#model/settings/waypoints.ts';
import { EMPTY_BAGGAGE, formatBaggage } from '#model/telemetry/propagation.ts';
import type { ClientInfo } from './effects.ts';

const UNSPECIFIED = parseIp('0.0.0.0');

/** Which waypoint this is. */
export type WaypointSelf = {
  namespace: string;
  /** Name of the Gateway resource. */
  gateway: string;
  node: string;
  identity: Identity;
};

/** How this waypoint opens tunnels: as itself, for its clients' identities end here. */
export function callerOf({ identity, namespace, gateway }: WaypointSelf): Caller {
  const baggage = formatBaggage({ ...EMPTY_BAGGAGE, namespace, workloadName: gateway, serviceName: gateway });
  return { identity, baggage };
}

/** Whom endpoints see where the waypoint asks by itself: it, at its own address as far as the mesh knows that. */
export function ownClient(self: WaypointSelf, mesh: MeshState): ClientInfo {
  return { identity: self.identity, address: ownWorkload(self, mesh)?.addresses[0] ?? UNSPECIFIED, port: 0 };
}

/** How many share what a limit allows: the ready replicas, each in `parts`; at least this one. Looked up once in a while. */
export function replicaCount(self: WaypointSelf, mesh: MeshState, parts: number, clock: Clock): () => number {
  let untilMs = Number.NEGATIVE_INFINITY;
  let count = parts;
  return () => {
    const nowMs = clock.monotonicMs();
    if (nowMs < untilMs) return count;
    untilMs = nowMs + WAYPOINT.replicasKnownMs;
    const own = mesh.boundWaypoints().find((binding) => isBoundTo(self, binding, mesh));
    const ready = own === undefined ? 0 : mesh.waypointMembers(own).filter(({ healthy }) => healthy).length;
    count = parts * Math.max(1, ready);
    return count;
  };
}

/** Where this waypoint runs, as the mesh tells it of its workload; only the node is known until then. Looked up once in a while. */
export function locationIn(self: WaypointSelf, mesh: MeshState, clock: Clock): () => ClientLocation {
  let untilMs = Number.NEGATIVE_INFINITY;
  let known: ClientLocation = { node: self.node, clusterId: '', network: '', locality: { region: '', zone: '', subzone: '' } };
  return () => {
    const nowMs = clock.monotonicMs();
    if (nowMs < untilMs) return known;
    untilMs = nowMs + WAYPOINT.replicasKnownMs;
    const own = ownWorkload(self, mesh);
    // One object as long as nothing has changed: what was worked out for a place is found by it.
    if (own !== null && !isSamePlace(own, known)) {
      const { node, clusterId, network, locality } = own;
      known = { node, clusterId, network, locality };
    }
    return known;
  };
}

/** At every level that anybody can prefer by. */
function isSamePlace(a: ClientLocation, b: ClientLocation): boolean {
  const scopes = ['region', 'zone', 'subzone', 'node', 'cluster', 'network'] as const;
  return scopes.every((scope) => placeIn(scope, a) === placeIn(scope, b));
}

/** The workload that this waypoint is, or another one of it on this node; null: the mesh knows none. */
function ownWorkload(self: WaypointSelf, mesh: MeshState): Workload | null {
  const binding = mesh.boundWaypoints().find((one) => isBoundTo(self, one, mesh));
  const members = (binding === undefined ? [] : mesh.waypointMembers(binding)).filter(({ node }) => node === self.node);
  return members.find(({ healthy }) => healthy) ?? members[0] ?? null;
}

/**
 * Whether a workload's or service's waypoint is this one: by the name of its own service, or because this waypoint is
 * among those behind the address. A hostname that merely begins like ours is not (one that cannot exist says "refused").
 */
export function isBoundTo(self: WaypointSelf, binding: GatewayAddress | null, mesh: MeshState): boolean {
  if (binding === null) return false;
  const isOwnService =
    binding.kind === 'hostname' &&
    binding.namespace === self.namespace &&
    binding.hostname.startsWith(`${self.gateway}.${self.namespace}.svc.`);
  return isOwnService || mesh.waypointMembers(binding).some((workload) => sameIdentity(identityOf(workload), self.identity));
}
