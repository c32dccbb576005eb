import { tableOf } from '#control-plane/index/table.ts';
import type { Metadata } from '#control-plane/resources/metadata.ts';
import type { L4Route } from '#model/mesh/service.ts';
import type { HttpRoute, L7Policy } from '#model/waypoint/config.ts';
import type { JwtRule } from '#model/waypoint/jwt.ts';

/** A route as the waypoint of one service runs it. Its age decides between routes. */
export type AttachedRoute = { service: string; metadata: Pick<Metadata, 'createdAtMs' | 'namespace' | 'name'>; route: HttpRoute };

const BY = {
  service: ({ service }: AttachedRoute) => [service],
  route: ({ metadata: { namespace, name } }: AttachedRoute) => [`${namespace}/${name}`],
};

/** HTTPRoutes of services, by route and service; found by the key of the service, and by their names. */
export const ATTACHED_ROUTES = tableOf<AttachedRoute>()('attached-routes', { by: BY });

/** GRPCRoutes, likewise; where they are, HTTPRoutes are not. */
export const ATTACHED_GRPC_ROUTES = tableOf<AttachedRoute>()('attached-grpc-routes', { by: BY });

/** A route of connections to one service, which goes by its key here: `<namespace>/<name>`. Its age decides between routes. */
export type AttachedL4Route = { service: string; metadata: Pick<Metadata, 'createdAtMs' | 'namespace' | 'name'>; route: L4Route };

/** Routes of connections, by route and service; found by the service. */
export const ATTACHED_L4_ROUTES = tableOf<AttachedL4Route>()('attached-l4-routes', {
  by: { service: ({ service }) => [service] },
});

/** A route of connections by the names that clients of TLS ask for, in lower case; the rest is as of routes of connections. */
export type AttachedTlsRoute = Pick<AttachedL4Route, 'service' | 'metadata'> &
  Pick<L4Route, 'clientNamespace' | 'shares'> & { ports: readonly number[]; hostnames: readonly string[] };

/** TLSRoutes, by route and service; found by the service. */
export const ATTACHED_TLS_ROUTES = tableOf<AttachedTlsRoute>()('attached-tls-routes', {
  by: { service: ({ service }) => [service] },
});

/** A policy as waypoints enforce it, with the names of what it is attached to. */
export type AttachedPolicy = { policy: L7Policy; targets: readonly string[] };

/**
 * Policies that waypoints enforce, by `<namespace>/<name>`; found by their targets: `Service shop/reviews`,
 * `Gateway shop/waypoint` or `GatewayClass weft-waypoint`.
 */
export const ATTACHED_POLICIES = tableOf<AttachedPolicy>()('attached-policies', { by: { target: ({ targets }) => targets } });

/** Tokens that waypoints look for, with the names of what they are about, as of policies. */
export type AttachedAuthentication = { rules: readonly JwtRule[]; targets: readonly string[] };

/** RequestAuthentications, by `<namespace>/<name>`; found by their targets. */
export const ATTACHED_AUTHENTICATIONS = tableOf<AttachedAuthentication>()('attached-authentications', {
  by: { target: ({ targets }) => targets },
});
