import { tableOf } from '#control-plane/index/table.ts';
import type { Metadata } from '#control-plane/resources/metadata.ts';
import type { HttpRoute, L7Policy } from '#model/waypoint/config.ts';

/** A route as the waypoint of one service runs it. Its age decides between routes. */
export type AttachedRoute = { service: string; metadata: Pick<Metadata, 'createdAtMs' | 'namespace' | 'name'>; route: HttpRoute };

/** Routes of services, by route and service; found by the key of the service. */
export const ATTACHED_ROUTES = tableOf<AttachedRoute>()('attached-routes', { by: { service: ({ service }) => [service] } });

/** A policy as waypoints enforce it, with the names of what it is attached to. */
export type AttachedPolicy = { policy: L7Policy; targets: readonly string[] };

/**
 * Policies that waypoints enforce, by `<namespace>/<name>`; found by their targets: `Service shop/reviews`,
 * `Gateway shop/waypoint` or `GatewayClass weft-waypoint`.
 */
export const ATTACHED_POLICIES = tableOf<AttachedPolicy>()('attached-policies', { by: { target: ({ targets }) => targets } });
