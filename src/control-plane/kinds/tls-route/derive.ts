import { defineDerivation } from '#control-plane/index/derivation.ts';
import { STATUS, statusOf } from '#control-plane/index/outputs.ts';
import { entry, tableOf } from '#control-plane/index/table.ts';
import { ATTACHED_TLS_ROUTES } from '#control-plane/mesh/attachments.ts';
import { waypointNeeds } from '#control-plane/mesh/auto-waypoints.ts';
import { L4_ROUTE_TABLES, type L4RouteResource, l4RouteOf } from '#control-plane/mesh/l4-routes.ts';
import { servicesOfRoute } from '#control-plane/mesh/route-parents.ts';
import { servedCondition, unservedOf, unservedProblems } from '#control-plane/mesh/unserved-routes.ts';
import { nameOfResource } from '#control-plane/resources/resource.ts';

/** A route of connections by the names that clients ask for; in lower case. */
export type TlsRouteResource = L4RouteResource<'TLSRoute'> & { hostnames: readonly string[] };

/** As they were read. */
export const TLS_ROUTES = tableOf<TlsRouteResource>()('tls-routes');

/** Nodes do not read what connections say. */
export const tlsRouteNeeds = waypointNeeds(TLS_ROUTES, servicesOfRoute);

/** What becomes of each TLSRoute: the services whose waypoints follow it, and its status. */
export const deriveTlsRoutes = defineDerivation({
  name: 'tls route',
  each: TLS_ROUTES,
  reads: [...L4_ROUTE_TABLES],
  writes: [ATTACHED_TLS_ROUTES, ...STATUS],
  derive({ key, value: route }, mesh) {
    const { places, conditions, problems } = l4RouteOf(route, 'tcp', mesh);
    const { createdAtMs, namespace, name } = route.metadata;
    const metadata = { createdAtMs, namespace, name };
    const { hostnames } = route;
    const entries = places.map((place) =>
      entry(ATTACHED_TLS_ROUTES, `${key} ${place.service}`, { ...place, metadata, hostnames }),
    );
    const resource = nameOfResource(route);
    const services = places.map(({ service }) => ({ service, path: ['spec', 'parentRefs'] }));
    const unserved = unservedOf(services, mesh);
    const served = places.length === 0 ? [] : [servedCondition(resource, unserved)];
    return [...entries, ...statusOf(resource, [...conditions, ...served], [...problems, ...unservedProblems(unserved)])];
  },
});
