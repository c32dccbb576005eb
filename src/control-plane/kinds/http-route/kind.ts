import { defineKind } from '#control-plane/index/kind-definition.ts';
import { tableOf } from '#control-plane/index/table.ts';
import { ATTACHED_ROUTES } from '#control-plane/mesh/attachments.ts';
import { waypointNeeds } from '#control-plane/mesh/auto-waypoints.ts';
import { HTTP_CLAIM } from '#control-plane/mesh/request-routes/claim.ts';
import { deriveRequestRoutes } from '#control-plane/mesh/request-routes/derive.ts';
import type { RawMatch, RawRequestRoute, RequestRouteResource } from '#control-plane/mesh/request-routes/documents.ts';
import { firstOfEachName, readHeaders, readRule, readValueMatch } from '#control-plane/mesh/request-routes/read-rule.ts';
import { standInForRoute } from '#control-plane/mesh/request-routes/stand-in.ts';
import { ROUTE_STATUS, readParent, servicesOfRoute } from '#control-plane/mesh/route-parents.ts';
import type { Metadata } from '#control-plane/resources/metadata.ts';
import type { HttpRouteMatch } from '#model/waypoint/config.ts';
import { checkHttpRoute } from './check.ts';
import { HTTP_ROUTE_FIELDS } from './fields.ts';

/** Routes as they were read. */
const HTTP_ROUTES = tableOf<RequestRouteResource>()('http-routes');

/** How an HTTPRoute is read. */
export const httpRouteKind = defineKind({
  kind: 'HTTPRoute',
  group: 'gateway.networking.k8s.io',
  versions: ['v1', 'v1beta1'],
  namespaced: true,
  schema: { kind: 'crd', file: 'gateway.networking.k8s.io_httproutes.yaml' },
  unknownFields: 'error',
  fields: HTTP_ROUTE_FIELDS,
  check: checkHttpRoute,
  read: readHttpRoute,
  standIn: (document, name) => standInForRoute('HTTPRoute', document, name),
  cluster: { status: ROUTE_STATUS },
  resources: HTTP_ROUTES,
  derivations: [waypointNeeds(HTTP_ROUTES, servicesOfRoute), deriveRequestRoutes(HTTP_ROUTES, ATTACHED_ROUTES, HTTP_CLAIM)],
});

/** References are completed with the namespace of the route, and not looked up yet. */
function readHttpRoute({ spec }: RawRequestRoute, metadata: Metadata): RequestRouteResource {
  return {
    kind: 'HTTPRoute',
    metadata,
    parents: (spec.parentRefs ?? []).map((parent) => readParent(parent, metadata.namespace)),
    hostnames: spec.hostnames ?? [],
    rules: spec.rules.map((rule) => ({ ...readRule(rule, metadata.namespace), matches: rule.matches.map(readMatch) })),
  };
}

/** Parts of one match are ANDed; null or an empty list restricts nothing. */
function readMatch({ path, method, headers, queryParams }: RawMatch): HttpRouteMatch {
  return {
    path: path === undefined ? null : { type: PATH_TYPE[path.type], value: path.value },
    method: method ?? null,
    // Header names are compared without regard to case; query parameter names with it.
    headers: readHeaders(headers),
    queryParams: firstOfEachName((queryParams ?? []).map((param) => readValueMatch(param, param.name))),
  };
}

const PATH_TYPE = { Exact: 'exact', PathPrefix: 'prefix', RegularExpression: 'regex' } as const;
