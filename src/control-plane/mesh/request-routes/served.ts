import type { Condition } from '#control-plane/index/index-delta.ts';
import { falseCondition, trueCondition } from '#control-plane/index/outputs.ts';
import { AUTO_GATEWAY, AUTO_SERVICES } from '#control-plane/mesh/auto-waypoints.ts';
import type { ParentRef, RouteMesh } from '#control-plane/mesh/route-parents.ts';
import { type Problem, warningAt } from '#control-plane/resources/finding.ts';
import type { ResourceName } from '#control-plane/resources/resource.ts';

/** A service that a route is attached to, and that no waypoint of ours serves; `at`: its place among the parents. */
export type Unserved = { at: number; service: string; reason: UnservedReason };

/** Whether somebody has to do something about it. */
export type UnservedReason = 'WaypointPending' | 'ForeignNamespaceWithoutWaypoint' | 'MissingUseWaypointLabel';

/** Why a service has no waypoint that would run the route. */
export function whyUnserved({ namespace, name }: ParentRef, mesh: RouteMesh): UnservedReason {
  const auto = mesh.get(AUTO_SERVICES, `${namespace}/${name}`);
  if (auto === null) return 'MissingUseWaypointLabel';
  return auto.kind === 'consumer' ? 'ForeignNamespaceWithoutWaypoint' : 'WaypointPending';
}

/** Attached, and yet nothing happens: nobody would find that out from a status that says Accepted. */
export function unservedProblems(unserved: readonly Unserved[]): Problem[] {
  return unserved.flatMap(({ at, service, reason }) => {
    if (reason === 'WaypointPending') return [];
    const message = `no proxy runs this route: Service ${service} has no waypoint`;
    return [warningAt('WEFT_NOT_ENFORCED', ['spec', 'parentRefs', at], message, REMEDY[reason])];
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
