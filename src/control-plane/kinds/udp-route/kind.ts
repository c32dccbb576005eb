import { defineKind } from '#control-plane/index/kind-definition.ts';
import { tableOf } from '#control-plane/index/table.ts';
import { checkL4Route, type RawL4Route, readL4Route } from '#control-plane/mesh/l4-route-documents.ts';
import { deriveL4Routes, type L4RouteResource } from '#control-plane/mesh/l4-routes.ts';
import { ENFORCED, eachField, type FieldTable } from '#control-plane/resources/field-table.ts';

const UDP_ROUTES = tableOf<L4RouteResource<'UDPRoute'>>()('udp-routes');

/** What becomes of each field of a UDPRoute. */
const FIELDS: FieldTable = {
  // Parents of other controllers are left to those.
  ...eachField('spec.parentRefs[].', 'group kind name namespace port sectionName'),
  'spec.rules[].name': ENFORCED,
  ...eachField('spec.rules[].backendRefs[].', 'group kind name namespace port weight'),
};

/** How a UDPRoute is read: the kernel of its clients follows it for the flows of each socket. */
export const udpRouteKind = defineKind<RawL4Route, L4RouteResource<'UDPRoute'>>({
  kind: 'UDPRoute',
  group: 'gateway.networking.k8s.io',
  versions: ['v1', 'v1alpha2'],
  namespaced: true,
  schema: { kind: 'crd', file: 'gateway.networking.k8s.io_udproutes.yaml' },
  unknownFields: 'error',
  fields: FIELDS,
  check: (route) => checkL4Route(route, 'flow'),
  read: (route, metadata) => readL4Route('UDPRoute', route, metadata),
  resources: UDP_ROUTES,
  derivations: [deriveL4Routes(UDP_ROUTES, 'udp')],
});
