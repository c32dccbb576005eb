import type { MeshReader } from '#control-plane/index/derivation.ts';
import { tableOf } from '#control-plane/index/table.ts';
import { ATTACHED_GRPC_ROUTES, ATTACHED_ROUTES, type AttachedRoute } from '#control-plane/mesh/attachments.ts';
import type { SubsetPick } from '#control-plane/mesh/subsets.ts';
import { byAge } from '#control-plane/resources/metadata.ts';
import type { ConnectionRoute } from '#model/waypoint/connection-routes.ts';

/** What a VirtualService says of one of its hosts, and the subsets that it leads to. */
export type AttachedVirtualService = AttachedRoute & { subsets: readonly SubsetPick[] };

/** By VirtualService and service; found by the key of the service. */
export const ATTACHED_VIRTUAL_SERVICES = tableOf<AttachedVirtualService>()('attached-virtual-services', {
  by: { service: ({ service }) => [service] },
});

/** What it says of the connections to one of its hosts that are not HTTP. */
export type AttachedVirtualConnections = Pick<AttachedVirtualService, 'service' | 'metadata' | 'subsets'> & {
  routes: readonly ConnectionRoute[];
};

/** Likewise. */
export const ATTACHED_VIRTUAL_CONNECTIONS = tableOf<AttachedVirtualConnections>()('attached-virtual-connections', {
  by: { service: ({ service }) => [service] },
});

/** Tables that say who routes the requests of a service. */
export const ROUTING_TABLES = [ATTACHED_ROUTES, ATTACHED_GRPC_ROUTES, ATTACHED_VIRTUAL_SERVICES] as const;

/** Both APIs, since each has to know of the other's routes. */
type RoutingMesh = MeshReader<(typeof ROUTING_TABLES)[number]>;

/** The VirtualService in force for a service: the oldest, which is not merged with others (config-api 4.4). Null: none is. */
export function virtualServiceOf(service: string, mesh: RoutingMesh): AttachedVirtualService | null {
  if (gatewayRoutesOf(service, mesh).length > 0) return null;
  return mesh.valuesBy(ATTACHED_VIRTUAL_SERVICES, 'service', service).toSorted(byAge)[0] ?? null;
}

/** Routes of the Gateway API for every client: where there are any, no VirtualService is heard. A consumer's takes nothing from others. */
export function gatewayRoutesOf(service: string, mesh: RoutingMesh): AttachedRoute[] {
  return [ATTACHED_ROUTES, ATTACHED_GRPC_ROUTES]
    .flatMap((table) => mesh.valuesBy(table, 'service', service))
    .filter(({ route }) => route.clientNamespace === null)
    .toSorted(byAge);
}
