import { defineDerivation } from '#control-plane/index/derivation.ts';
import { falseCondition, STATUS, statusOf, trueCondition } from '#control-plane/index/outputs.ts';
import { entry, tableOf } from '#control-plane/index/table.ts';
import { ATTACHED_TLS_ROUTES } from '#control-plane/mesh/attachments.ts';
import { L4_ROUTE_TABLES, type L4RouteResource, l4RouteOf } from '#control-plane/mesh/l4-routes.ts';
import { hasWaypoint } from '#control-plane/mesh/waypoint-binding.ts';
import { type Problem, warningAt } from '#control-plane/resources/finding.ts';
import { nameOfResource } from '#control-plane/resources/resource.ts';

/** A route of connections by the names that clients ask for; in lower case. */
export type TlsRouteResource = L4RouteResource<'TLSRoute'> & { hostnames: readonly string[] };

/** As they were read. */
export const TLS_ROUTES = tableOf<TlsRouteResource>()('tls-routes');

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
    const unserved = places.map(({ service }) => service).filter((service) => !hasWaypoint(mesh, service));
    const served = places.length === 0 ? [] : [servedCondition(route, unserved)];
    return [
      ...entries,
      ...statusOf(nameOfResource(route), [...conditions, ...served], [...problems, ...unservedProblems(unserved)]),
    ];
  },
});

/** As of routes of requests. */
function servedCondition(route: TlsRouteResource, unserved: readonly string[]) {
  const resource = nameOfResource(route);
  if (unserved.length === 0) return trueCondition(resource, 'ResolvedWaypoints', 'ResolvedWaypoints', 'waypoints run this route');
  const message = `Service ${unserved.join(', ')} has no waypoint: label it istio.io/use-waypoint`;
  return falseCondition(resource, 'ResolvedWaypoints', 'MissingUseWaypointLabel', message);
}

/** Nodes do not read what connections say. */
function unservedProblems(unserved: readonly string[]): Problem[] {
  return unserved.map((service) => {
    const message = `no proxy runs this route: Service ${service} has no waypoint`;
    const remedy = 'label the Service or its namespace istio.io/use-waypoint: <gateway>';
    return warningAt('WEFT_NOT_ENFORCED', ['spec', 'parentRefs'], message, remedy);
  });
}
