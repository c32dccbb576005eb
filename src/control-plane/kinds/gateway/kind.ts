import { defineKind } from '#control-plane/index/kind-definition.ts';
import type { AllowedNamespaces } from '#control-plane/mesh/waypoints.ts';
import { WAYPOINT_CLASSES } from '#control-plane/mesh/well-known.ts';
import { type OwnStatus, refusedFor } from '#control-plane/resources/cluster-kind.ts';
import { errorAt, type FieldPath, type Problem } from '#control-plane/resources/finding.ts';
import { readLabelSelector } from '#control-plane/resources/label-selector.ts';
import type { Metadata } from '#control-plane/resources/metadata.ts';
import { fieldOf } from '#control-plane/resources/stand-in.ts';
import { GATEWAYS, gateways } from './derive.ts';
import { GATEWAY_FIELDS } from './fields.ts';
import type { GatewayListener, GatewayResource, RawGateway, RawListener } from './schema.ts';
import { gatewayStatus } from './status.ts';
import { managedGateways, servedServices, waypointConfigs } from './waypoint-config.ts';

/** Gateways of other classes are their controllers', whatever is wrong with them. */
const WAYPOINT_STATUS: OwnStatus = {
  form: 'applied',
  types: ['Accepted', 'Programmed'],
  listenerTypes: ['Accepted', 'Programmed', 'Conflicted', 'ResolvedRefs'],
  fields: ['addresses'],
  leaves: true,
  refused: (spec) =>
    WAYPOINT_CLASSES.includes(String(fieldOf(spec, 'gatewayClassName'))) ? refusedFor('Invalid', ['Accepted', 'Programmed']) : [],
};

/** How a Gateway is read. */
export const gatewayKind = defineKind({
  kind: 'Gateway',
  group: 'gateway.networking.k8s.io',
  versions: ['v1', 'v1beta1'],
  namespaced: true,
  schema: { kind: 'crd', file: 'gateway.networking.k8s.io_gateways.yaml' },
  unknownFields: 'error',
  fields: GATEWAY_FIELDS,
  isOurs: ({ spec }) => WAYPOINT_CLASSES.includes(spec.gatewayClassName),
  check: checkGateway,
  read: readGateway,
  cluster: { readStatus: addressesOf, status: WAYPOINT_STATUS },
  resources: GATEWAYS,
  derivations: [gateways, gatewayStatus, servedServices, waypointConfigs, managedGateways],
});

function addressesOf(status: unknown): unknown {
  const addresses = fieldOf(status, 'addresses');
  return addresses === undefined ? undefined : { addresses };
}

/** Of a status only the addresses count: by them gateways of other controllers are reached. */
function readGateway({ spec, status }: RawGateway, metadata: Metadata): GatewayResource {
  return {
    kind: 'Gateway',
    metadata,
    className: spec.gatewayClassName,
    listeners: spec.listeners.map(readListener),
    infrastructure: { labels: spec.infrastructure?.labels ?? {}, annotations: spec.infrastructure?.annotations ?? {} },
    statusAddresses: (status?.addresses ?? []).map(({ type = 'IPAddress', value }) => ({
      type: type === 'Hostname' || type === 'IPAddress' ? type : 'other',
      value,
    })),
  };
}

/** What binding needs (who may use the waypoint, at which port it serves), and what is to be said of the rest. */
function readListener({ name, port, protocol, hostname, tls, allowedRoutes }: RawListener): GatewayListener {
  const kinds = (allowedRoutes?.kinds ?? []).map(({ group = 'gateway.networking.k8s.io', kind }) => ({ group, kind }));
  const unheeded = Object.entries({ hostname, tls }).flatMap(([field, value]) => (value === undefined ? [] : [field]));
  return { name, port, protocol, allowed: readAllowed(allowedRoutes?.namespaces), unheeded, kinds };
}

/** Same is the default of the API. */
function readAllowed(namespaces: NonNullable<RawListener['allowedRoutes']>['namespaces']): AllowedNamespaces {
  switch (namespaces?.from) {
    case 'All':
      return { kind: 'all' };
    case 'None':
      return { kind: 'none' };
    case 'Selector':
      return { kind: 'selector', selector: readLabelSelector(namespaces.selector ?? {}) };
    default:
      return { kind: 'same' };
  }
}

/** Listeners are told apart by name, and again by port, protocol and hostname. */
function checkGateway({ spec }: RawGateway): Problem[] {
  const names = new Set<string>();
  const places = new Set<string>();
  return spec.listeners.flatMap((listener, at) => {
    const path = ['spec', 'listeners', at];
    const problems = checkListener(listener, path);
    // Two listeners in one place could not both be served.
    const place = `${listener.port} ${listener.protocol} ${listener.hostname ?? ''}`.trim();
    // A route refers to listeners by name.
    if (names.has(listener.name)) {
      const message = `two listeners are called "${listener.name}"`;
      problems.push(errorAt('WEFT_FIELD_CONFLICT', [...path, 'name'], message, 'rename one of them'));
    } else if (places.has(place)) {
      const message = `two listeners have the same port, protocol and hostname (${place})`;
      problems.push(errorAt('WEFT_FIELD_CONFLICT', path, message, 'remove one of them'));
    }
    names.add(listener.name);
    places.add(place);
    return problems;
  });
}

/** The API refuses these in CEL, which is not run here. */
function checkListener({ protocol, tls, hostname, allowedRoutes }: RawListener, path: FieldPath): Problem[] {
  const problems: Problem[] = [];
  // Plain protocols have nothing to terminate.
  if (tls !== undefined && ['HTTP', 'TCP', 'UDP'].includes(protocol)) {
    problems.push(
      errorAt('WEFT_FIELD_CONFLICT', [...path, 'tls'], `protocol ${protocol} has no tls`, 'remove tls, or use HTTPS or TLS'),
    );
  }
  if (hostname !== undefined && ['TCP', 'UDP'].includes(protocol)) {
    problems.push(
      errorAt('WEFT_FIELD_CONFLICT', [...path, 'hostname'], `protocol ${protocol} has no hostname`, 'remove hostname'),
    );
  }
  const namespaces = allowedRoutes?.namespaces;
  if (namespaces?.from === 'Selector' && namespaces.selector === undefined) {
    const at = [...path, 'allowedRoutes', 'namespaces'];
    problems.push(errorAt('WEFT_FIELD_CONFLICT', at, 'from: Selector needs a selector', 'add selector.matchLabels'));
  }
  return problems;
}
