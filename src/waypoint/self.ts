import type { ClientLocation } from '#model/balancing/endpoints.ts';
import type { Identity } from '#model/identity/identity.ts';
import { sameIdentity } from '#model/identity/identity.ts';
import type { GatewayAddress } from '#model/mesh/gateway-address.ts';
import type { MeshState } from '#model/mesh/mesh-state.ts';
import { identityOf } from '#model/mesh/workload.ts';

/** Which waypoint this is. */
export type WaypointSelf = {
  namespace: string;
  /** Name of the Gateway resource. */
  gateway: string;
  node: string;
  identity: Identity;
  /** For locality preferences; without it only the node is known. */
  location?: ClientLocation;
};

/** Where this waypoint runs. */
export function locationOf(self: WaypointSelf): ClientLocation {
  return self.location ?? { node: self.node, clusterId: '', network: '', locality: { region: '', zone: '', subzone: '' } };
}

/** Whether a workload's or service's waypoint is this one. */
export function isBoundTo(self: WaypointSelf, binding: GatewayAddress | null, mesh: MeshState): boolean {
  if (binding === null) return false;
  if (binding.kind === 'hostname') return binding.namespace === self.namespace && binding.hostname.split('.')[0] === self.gateway;
  return mesh.waypointMembers(binding).some((workload) => sameIdentity(identityOf(workload), self.identity));
}
