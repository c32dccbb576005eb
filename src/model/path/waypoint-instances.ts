import { type Family, familyOf, type IpAddress } from '#model/address/ip.ts';
import type { MeshState } from '#model/mesh/mesh-state.ts';
import type { GatewayAddress, Service } from '#model/mesh/service.ts';
import type { Workload } from '#model/mesh/workload.ts';

/** One instance of a waypoint, and where it takes tunnels. */
export type Instance = {
  readonly waypoint: GatewayAddress;
  readonly workload: Workload;
  readonly ip: IpAddress;
  readonly port: number;
};

/** Whom a connection of a service, or to a workload, is sent to; null: nobody, so that it is refused. */
export type InstanceShare = { readonly weight: number; readonly instance: Instance | null };

/** Who asks: of which family it dialled, and whose instances could not be reached. */
type Asker = { readonly source: Workload; readonly family: Family; readonly tried: readonly { readonly uid: string }[] };

/** What names its waypoints. */
export type Bound = { readonly waypoint: GatewayAddress } & Pick<Service, 'canary'>;

/**
 * Among whom a connection is drawn: the nearest instances of the waypoint, and as often as its weight says those of its canary. A
 * canary without any has no share: what would have gone there goes to the waypoint, and never around both. One share at least;
 * those of weight 0 are left out.
 */
export function instanceShares({ waypoint, canary }: Bound, asker: Asker, mesh: MeshState): InstanceShare[] {
  const onTrial = canary === undefined || canary.weight === 0 ? [] : reachable(canary.waypoint, asker, mesh);
  if (canary === undefined || onTrial.length === 0) return among(reachable(waypoint, asker, mesh), null);
  const left = 100 - canary.weight;
  return [...(left === 0 ? [] : among(reachable(waypoint, asker, mesh), left)), ...among(onTrial, canary.weight)];
}

/** Whether there is somebody at all, whether reached or not. */
export function hasInstance(waypoint: GatewayAddress, mesh: MeshState): boolean {
  return mesh.waypointMembers(waypoint).some(({ healthy, addresses }) => healthy && addresses.length > 0);
}

/** `total`: what they come to together; null: it does not matter, as there are no others. */
function among(instances: readonly Instance[], total: number | null): InstanceShare[] {
  if (instances.length === 0) return [{ weight: total ?? 1, instance: null }];
  return instances.map((instance) => ({ weight: total === null ? 1 : total / instances.length, instance }));
}

function reachable(waypoint: GatewayAddress, { source, family, tried }: Asker, mesh: MeshState): readonly Instance[] {
  const fresh = mesh.waypointMembers(waypoint).filter(({ healthy, uid }) => healthy && !tried.some((one) => one.uid === uid));
  const instances = fresh.flatMap((workload) => {
    const ip = workload.addresses.find((one) => familyOf(one) === family) ?? workload.addresses[0];
    return ip === undefined ? [] : [{ waypoint, workload, ip, port: waypoint.hbonePort }];
  });
  return nearest(instances, source);
}

/** Instances on the client's node; without any, those of its zone; else all: a way between zones costs, and nobody asked for it. */
function nearest(instances: readonly Instance[], source: Workload): readonly Instance[] {
  const onNode = instances.filter(({ workload }) => workload.node === source.node);
  if (onNode.length > 0) return onNode;
  const { region, zone } = source.locality;
  const inZone = instances.filter(({ workload: { locality } }) => locality.zone === zone && locality.region === region);
  return zone !== '' && inZone.length > 0 ? inZone : instances;
}
