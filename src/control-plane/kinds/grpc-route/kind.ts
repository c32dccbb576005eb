import { defineKind } from '#control-plane/index/kind-definition.ts';
import { tableOf } from '#control-plane/index/table.ts';
import { ATTACHED_GRPC_ROUTES } from '#control-plane/mesh/attachments.ts';
import { waypointNeeds } from '#control-plane/mesh/auto-waypoints.ts';
import { GRPC_CLAIM } from '#control-plane/mesh/request-routes/claim.ts';
import { deriveRequestRoutes } from '#control-plane/mesh/request-routes/derive.ts';
import type { RequestRouteResource } from '#control-plane/mesh/request-routes/documents.ts';
import { readHeaders, readRule } from '#control-plane/mesh/request-routes/read-rule.ts';
import { standInForRoute } from '#control-plane/mesh/request-routes/stand-in.ts';
import { ROUTE_STATUS, readParent, servicesOfRoute } from '#control-plane/mesh/route-parents.ts';
import type { Metadata } from '#control-plane/resources/metadata.ts';
import type { HttpRouteMatch } from '#model/waypoint/config.ts';
import { checkGrpcRoute } from './check.ts';
import { GRPC_ROUTE_FIELDS } from './fields.ts';
import type { RawGrpcMatch, RawGrpcRoute } from './schema.ts';

const GRPC_ROUTES = tableOf<RequestRouteResource>()('grpc-routes');

/** How a GRPCRoute is read: waypoints run it as they run an HTTPRoute, and it goes before one. */
export const grpcRouteKind = defineKind({
  kind: 'GRPCRoute',
  group: 'gateway.networking.k8s.io',
  versions: ['v1'],
  namespaced: true,
  schema: { kind: 'crd', file: 'gateway.networking.k8s.io_grpcroutes.yaml' },
  unknownFields: 'error',
  fields: GRPC_ROUTE_FIELDS,
  check: checkGrpcRoute,
  read: readGrpcRoute,
  standIn: (document, name) => standInForRoute('GRPCRoute', document, name),
  cluster: { status: ROUTE_STATUS },
  resources: GRPC_ROUTES,
  derivations: [waypointNeeds(GRPC_ROUTES, servicesOfRoute), deriveRequestRoutes(GRPC_ROUTES, ATTACHED_GRPC_ROUTES, GRPC_CLAIM)],
});

/** References are completed with the namespace of the route, and not looked up yet. */
function readGrpcRoute({ spec }: RawGrpcRoute, metadata: Metadata): RequestRouteResource {
  return {
    kind: 'GRPCRoute',
    metadata,
    parents: (spec.parentRefs ?? []).map((parent) => readParent(parent, metadata.namespace)),
    hostnames: spec.hostnames ?? [],
    rules: (spec.rules ?? []).map((rule) => ({
      ...readRule(rule, metadata.namespace),
      // Of a list that is empty nothing would match; a rule without one takes every call.
      matches: (rule.matches ?? []).map(readMatch),
    })),
  };
}

/** A call is a POST to /service/method; which of the two are named decides between routes. */
function readMatch({ method, headers }: RawGrpcMatch): HttpRouteMatch {
  const call = { path: null, method: null, headers: readHeaders(headers), queryParams: [] };
  if (method === undefined) return { ...call, grpc: { type: 'exact', service: null, method: null } };
  const type = method.type === 'RegularExpression' ? 'regex' : 'exact';
  return { ...call, grpc: { type, service: method.service || null, method: method.method || null } };
}
