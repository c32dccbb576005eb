import { defineKind } from '#control-plane/index/kind-definition.ts';
import { checkL4Route, type RawL4Route, readL4Route } from '#control-plane/mesh/l4-route-documents.ts';
import { ROUTE_STATUS } from '#control-plane/mesh/route-parents.ts';
import { ENFORCED, eachField, type FieldTable } from '#control-plane/resources/field-table.ts';
import { errorAt, type Problem } from '#control-plane/resources/finding.ts';
import type { Metadata } from '#control-plane/resources/metadata.ts';
import { tryParseIp } from '#model/address/ip.ts';
import { isDnsName } from '#model/dns/alias.ts';
import { deriveTlsRoutes, TLS_ROUTES, type TlsRouteResource, tlsRouteNeeds } from './derive.ts';

/** The document, once its schema has passed: one rule exactly, and one hostname at least. */
type RawTlsRoute = RawL4Route & { spec: { hostnames: string[] } };

/** What becomes of each field of a TLSRoute. */
const FIELDS: FieldTable = {
  'spec.hostnames': ENFORCED,
  // Parents of other controllers are left to those.
  ...eachField('spec.parentRefs[].', 'group kind name namespace port sectionName'),
  'spec.rules[].name': ENFORCED,
  ...eachField('spec.rules[].backendRefs[].', 'group kind name namespace port weight'),
};

/** How a TLSRoute is read: waypoints follow it, as nobody else sees the name that a client asks for. */
export const tlsRouteKind = defineKind<RawTlsRoute, TlsRouteResource>({
  kind: 'TLSRoute',
  group: 'gateway.networking.k8s.io',
  versions: ['v1', 'v1alpha3'],
  namespaced: true,
  schema: { kind: 'crd', file: 'gateway.networking.k8s.io_tlsroutes.yaml' },
  unknownFields: 'error',
  fields: FIELDS,
  check: checkTlsRoute,
  read: readTlsRoute,
  cluster: { status: ROUTE_STATUS },
  resources: TLS_ROUTES,
  derivations: [tlsRouteNeeds, deriveTlsRoutes],
});

/** What the schema states in CEL about names, and what is wrong with the rest. */
function checkTlsRoute(route: RawTlsRoute): Problem[] {
  const names = route.spec.hostnames.flatMap((host, at): Problem[] => {
    if (isDnsName(host.replace(/^\*\./, '')) && tryParseIp(host) === null) return [];
    const message = `"${host}" is no name that a client could ask for`;
    const remedy = 'write a name such as db.example.com, or *.example.com for all names below it';
    return [errorAt('WEFT_FIELD_INVALID', ['spec', 'hostnames', at], message, remedy)];
  });
  return [...names, ...checkL4Route(route, 'connection')];
}

/** References are not looked up yet. */
function readTlsRoute(route: RawTlsRoute, metadata: Metadata): TlsRouteResource {
  const hostnames = [...new Set(route.spec.hostnames.map((host) => host.toLowerCase()))];
  return { ...readL4Route('TLSRoute', route, metadata), hostnames };
}
