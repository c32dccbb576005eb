import type { Condition } from '#control-plane/index/index-delta.ts';
import { falseCondition, trueCondition } from '#control-plane/index/outputs.ts';
import { AUTO_GATEWAY, AUTO_SERVICES } from '#control-plane/mesh/auto-waypoints.ts';
import type { RouteMesh } from '#control-plane/mesh/route-parents.ts';
import { hasWaypoint } from '#control-plane/mesh/waypoint-binding.ts';
import { type FieldPath, type Problem, warningAt } from '#control-plane/resources/finding.ts';
import type { ResourceName } from '#control-plane/resources/resource.ts';

/** A service that a route is attached to, and that no waypoint of ours serves; `path`: where the route names it. */
export type Unserved = { path: FieldPath; service: string; reason: UnservedReason };

/** Whether somebody has to do something about it. */
export type UnservedReason = 'WaypointPending' | 'ForeignNamespaceWithoutWaypoint' | 'MissingUseWaypointLabel';

/** Those of the services of a route that have no waypoint which would run it. */
export function unservedOf(services: readonly { service: string; path: FieldPath }[], mesh: RouteMesh): Unserved[] {
  return services
    .filter(({ service }) => !hasWaypoint(mesh, service))
    .map((one) => ({ ...one, reason: reasonOf(one.service, mesh) }));
}

function reasonOf(service: string, mesh: RouteMesh): UnservedReason {
  const auto = mesh.get(AUTO_SERVICES, service);
  if (auto === null) return 'MissingUseWaypointLabel';
  return auto.kind === 'consumer' ? 'ForeignNamespaceWithoutWaypoint' : 'WaypointPending';
}

/** Attached, and yet nothing happens: nobody would find that out from a status that says Accepted. */
export function unservedProblems(unserved: readonly Unserved[]): Problem[] {
  return unserved.flatMap(({ path, service, reason }) => {
    if (reason === 'WaypointPending') return [];
    const message = `no proxy runs this route: Service ${service} has no waypoint`;
    return [warningAt('WEFT_NOT_ENFORCED', path, message, REMEDY[reason])];
  });
}

/** Whether some waypoint runs the route at all. */
export function servedCondition(resource: ResourceName, unserved: readonly Unserved[]): Condition {
  const [first] = unserved;
  if (first === undefined) return trueCondition(resource, 'ResolvedWaypoints', 'ResolvedWaypoints', 'waypoints run this route');
  const names = unserved.map(({ service }) => service).join(', ');
  const message = `Service ${names} has no waypoint: ${WHY[first.reason]}`;
  return falseCondition(resource, 'ResolvedWaypoints', first.reason, message);
}

const WHY: Readonly<Record<UnservedReason, string>> = {
  WaypointPending: `Gateway ${AUTO_GATEWAY} is being made for it; until it is ready traffic goes on as without the route`,
  ForeignNamespaceWithoutWaypoint: 'a route of another namespace makes none; label it istio.io/use-waypoint',
  MissingUseWaypointLabel: 'label it istio.io/use-waypoint',
};

const REMEDY = {
  ForeignNamespaceWithoutWaypoint: 'ask its owner for a waypoint: the label istio.io/use-waypoint, or a route of its own',
  MissingUseWaypointLabel: 'label the Service or its namespace istio.io/use-waypoint: <gateway>',
} as const;
