import { defineKind } from '#control-plane/index/kind-definition.ts';
import { tableOf } from '#control-plane/index/table.ts';
import { checkL4Route, type RawL4Route, readL4Route } from '#control-plane/mesh/l4-route-documents.ts';
import { deriveL4Routes, type L4RouteResource } from '#control-plane/mesh/l4-routes.ts';
import { ROUTE_STATUS } from '#control-plane/mesh/route-parents.ts';
import { ENFORCED, eachField, type FieldTable } from '#control-plane/resources/field-table.ts';

const TCP_ROUTES = tableOf<L4RouteResource<'TCPRoute'>>()('tcp-routes');

/** What becomes of each field of a TCPRoute. */
const FIELDS: FieldTable = {
  // Parents of other controllers are left to those.
  ...eachField('spec.parentRefs[].', 'group kind name namespace port sectionName'),
  'spec.rules[].name': ENFORCED,
  ...eachField('spec.rules[].backendRefs[].', 'group kind name namespace port weight'),
};

/** How a TCPRoute is read: the agents of its clients follow it, with a waypoint or without. */
export const tcpRouteKind = defineKind<RawL4Route, L4RouteResource<'TCPRoute'>>({
  kind: 'TCPRoute',
  group: 'gateway.networking.k8s.io',
  versions: ['v1', 'v1alpha2'],
  namespaced: true,
  schema: { kind: 'crd', file: 'gateway.networking.k8s.io_tcproutes.yaml' },
  unknownFields: 'error',
  fields: FIELDS,
  check: (route) => checkL4Route(route, 'connection'),
  read: (route, metadata) => readL4Route('TCPRoute', route, metadata),
  cluster: { status: ROUTE_STATUS },
  resources: TCP_ROUTES,
  derivations: [deriveL4Routes(TCP_ROUTES, 'tcp')],
});
