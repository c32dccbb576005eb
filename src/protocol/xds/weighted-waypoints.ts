import { create } from '@bufbuild/protobuf';
import { type CanaryWaypoint, type GatewayAddress, gatewayName, type Service } from '#model/mesh/service.ts';
import { type Service as ServiceMessage, type WeightedWaypoint, WeightedWaypointSchema } from '#proto/workload_pb.js';
import { gatewayAddressFromProto, gatewayAddressToProto } from '#protocol/xds/gateway-address.ts';
import { rejectResource } from '#protocol/xds/resource-fault.ts';

/** The wire form of a canary: both waypoints with their weights. Empty: there is none. */
export function weightedWaypointsToProto({ waypoint, canary }: Pick<Service, 'waypoint' | 'canary'>): WeightedWaypoint[] {
  if (waypoint === null || canary === undefined) return [];
  return [weighted(waypoint, 100 - canary.weight), weighted(canary.waypoint, canary.weight)];
}

function weighted(address: GatewayAddress, weight: number): WeightedWaypoint {
  const destination = gatewayAddressToProto(address);
  return create(WeightedWaypointSchema, { weight, ...(destination && { destination }) });
}

/**
 * The waypoint beside the one that is named by itself; undefined: there is none. Errors: WEFT_XDS_RESOURCE for an address that
 * leads nowhere, and for more than one of them, since no share of the connections may go where nobody expects it.
 */
export function canaryFromProto(message: ServiceMessage, waypoint: GatewayAddress | null): CanaryWaypoint | undefined {
  const all = message.weightedWaypoints.map(({ destination, weight }) => {
    const address = gatewayAddressFromProto('weighted waypoint', destination);
    return { weight, address: address ?? rejectResource('weighted waypoint has no destination') };
  });
  if (all.length === 0) return undefined;
  if (waypoint === null) return rejectResource('weighted waypoints beside no waypoint');
  const others = all.filter(({ address }) => gatewayName(address) !== gatewayName(waypoint));
  const [first] = others;
  if (first === undefined) return undefined;
  if (others.some(({ address }) => gatewayName(address) !== gatewayName(first.address)))
    return rejectResource('weighted waypoints name more than one beside the waypoint');
  const total = all.reduce((sum, { weight }) => sum + weight, 0);
  const share = others.reduce((sum, { weight }) => sum + weight, 0);
  return { waypoint: first.address, weight: total === 0 ? 0 : Math.round((100 * share) / total) };
}
