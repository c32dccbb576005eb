import { defineDerivation, type MeshReader } from '#control-plane/index/derivation.ts';
import type { Condition } from '#control-plane/index/index-delta.ts';
import { serviceHostname } from '#control-plane/index/mesh-options.ts';
import { falseCondition, OUTPUT, STATUS, statusOf, trueCondition } from '#control-plane/index/outputs.ts';
import { ATTACHED_GRPC_ROUTES, ATTACHED_ROUTES } from '#control-plane/mesh/attachments.ts';
import { type GatewayInfo, WAYPOINTS } from '#control-plane/mesh/waypoints.ts';
import { HBONE_PROTOCOL, LABEL } from '#control-plane/mesh/well-known.ts';
import { type Problem, warningAt } from '#control-plane/resources/finding.ts';
import { didYouMean } from '#control-plane/resources/nearest-name.ts';
import { nameOfResource } from '#control-plane/resources/resource.ts';
import { PORT } from '#model/mesh/ports.ts';
import { serviceKeyOf } from '#model/mesh/service.ts';
import { GATEWAYS, TRAFFIC } from './derive.ts';
import { faultOf, listenerConditions } from './listener-status.ts';
import type { GatewayResource } from './schema.ts';
import { SERVED_SERVICES } from './waypoint-config.ts';

const STATUS_TABLES = [WAYPOINTS, OUTPUT.services, SERVED_SERVICES, ATTACHED_ROUTES, ATTACHED_GRPC_ROUTES] as const;

/** What is said of each Gateway: apart from what binding needs, as it counts what is bound. */
export const gatewayStatus = defineDerivation({
  name: 'gateway status',
  each: GATEWAYS,
  reads: STATUS_TABLES,
  writes: STATUS,
  derive({ key, value: gateway }, mesh) {
    const info = mesh.get(WAYPOINTS, key);
    // Gateways of other controllers get nothing from us: two writers of one status would undo one another.
    if (info?.managed !== true) return [];
    const { namespace, name } = info;
    const hostname = serviceHostname(namespace, name, mesh.options);
    const ips = mesh.get(OUTPUT.services, serviceKeyOf({ namespace, hostname }))?.addresses ?? [];
    const addresses = [...ips.map((value) => ({ type: 'IPAddress', value })), { type: 'Hostname', value: hostname }];
    const conditions = conditionsOf(gateway, info, { addresses, attachedRoutes: routesAt(key, mesh) });
    return statusOf(nameOfResource(gateway), conditions, gatewayProblems(gateway, info));
  },
});

/** What is told beside the conditions. */
type GatewayNumbers = { addresses: readonly object[]; attachedRoutes: number };

/** How many routes the waypoint runs: one that is attached to several of its services is one. */
function routesAt(gateway: string, mesh: MeshReader<(typeof STATUS_TABLES)[number]>): number {
  const routes = new Set<string>();
  for (const { service } of mesh.valuesBy(SERVED_SERVICES, 'gateway', gateway)) {
    for (const table of [ATTACHED_ROUTES, ATTACHED_GRPC_ROUTES])
      for (const key of mesh.keysBy(table, 'service', service.key)) routes.add(`${table.name} ${key.slice(0, key.indexOf(' '))}`);
  }
  return routes.size;
}

function conditionsOf(gateway: GatewayResource, info: GatewayInfo, numbers: GatewayNumbers): Condition[] {
  const resource = nameOfResource(gateway);
  const { state, className } = info;
  const programmed = programmedOf(gateway, info, numbers.addresses);
  const listeners = listenerConditions(gateway, programmed, numbers.attachedRoutes);
  if (state.kind === 'unusable') return [falseCondition(resource, 'Accepted', 'Invalid', state.why), programmed, ...listeners];
  // It stays accepted: the listener that a waypoint needs is there.
  const faulty = gateway.listeners.filter((_, at) => faultOf(gateway.listeners, at) !== null).map(({ name }) => name);
  const accepted =
    faulty.length === 0
      ? trueCondition(resource, 'Accepted', 'Accepted', `class ${className}`)
      : trueCondition(resource, 'Accepted', 'ListenersNotValid', `class ${className}; not as written: ${faulty.join(', ')}`);
  return [accepted, programmed, ...listeners];
}

/** Addresses are told when somebody is there for the first time, and never taken back: clients may know them. */
function programmedOf(gateway: GatewayResource, { state }: GatewayInfo, addresses: readonly object[]): Condition {
  const resource = nameOfResource(gateway);
  switch (state.kind) {
    case 'ready':
      return { ...trueCondition(resource, 'Programmed', 'Programmed', 'an instance is running'), fields: { addresses } };
    case 'not-ready': {
      const reason = gateway.statusAddresses.length === 0 ? 'AddressNotAssigned' : 'Pending';
      return falseCondition(resource, 'Programmed', reason, state.why);
    }
    case 'unusable':
      return falseCondition(resource, 'Programmed', 'Invalid', state.why);
  }
}

/** What its author should know about a Gateway of a waypoint class. */
function gatewayProblems(gateway: GatewayResource, info: GatewayInfo): Problem[] {
  const problems: Problem[] = [];
  const wanted = gateway.metadata.labels[LABEL.waypointFor];
  if (wanted !== undefined && !TRAFFIC.some((known) => known === wanted)) {
    const message = `"${wanted}" is no kind of traffic${didYouMean(wanted, TRAFFIC)}; the waypoint takes service traffic`;
    const path = ['metadata', 'labels', LABEL.waypointFor];
    problems.push(warningAt('WEFT_LIKELY_MISTAKE', path, message, `write one of ${TRAFFIC.join(', ')}`));
  }
  for (const [at, { protocol, port }] of gateway.listeners.entries()) {
    // Other listeners are legal in the API, and nobody would ever be served there.
    if (protocol === HBONE_PROTOCOL && port === PORT.hbone) continue;
    const message = `a waypoint serves HBONE on port 15008 only: ${protocol} on port ${port} is ignored`;
    const remedy = 'write port: 15008 and protocol: HBONE';
    problems.push(warningAt('WEFT_NOT_ENFORCED', ['spec', 'listeners', at], message, remedy));
  }
  if (info.state.kind === 'unusable') {
    const message = `the waypoint cannot run: ${info.state.why}; traffic that needs it is refused`;
    const remedy = 'add the listener { name: mesh, port: 15008, protocol: HBONE } and keep the name free of other Services';
    problems.push(warningAt('WEFT_WAYPOINT_UNUSABLE', ['spec', 'listeners'], message, remedy));
  }
  return problems;
}
