import { defineDerivation } from '#control-plane/index/derivation.ts';
import type { Condition } from '#control-plane/index/index-delta.ts';
import type { MeshOptions } from '#control-plane/index/mesh-options.ts';
import { falseCondition, STATUS, statusOf, trueCondition } from '#control-plane/index/outputs.ts';
import { entry, tableOf } from '#control-plane/index/table.ts';
import { ENDPOINTS } from '#control-plane/mesh/endpoints.ts';
import { isGenerated, SERVICE_RANK, SERVICES, type ServiceResource, USER_SERVICES } from '#control-plane/mesh/services.ts';
import { type GatewayInfo, isRun, ownAddress, WAYPOINTS, type WaypointTraffic } from '#control-plane/mesh/waypoints.ts';
import { ANNOTATION, HBONE_PROTOCOL, LABEL, WAYPOINT_CLASSES } from '#control-plane/mesh/well-known.ts';
import { type Problem, warningAt } from '#control-plane/resources/finding.ts';
import { didYouMean } from '#control-plane/resources/nearest-name.ts';
import { nameOfResource, type ResourceName } from '#control-plane/resources/resource.ts';
import { tryParseIp } from '#model/address/ip.ts';
import { PORT } from '#model/mesh/ports.ts';
import type { GatewayAddress } from '#model/mesh/service.ts';
import type { GatewayListener, GatewayResource } from './schema.ts';
import { waypointService } from './waypoint-service.ts';

/** Gateways as they were read. */
export const GATEWAYS = tableOf<GatewayResource>()('gateways');

/** What binding needs to know of one Gateway, and the service by which a waypoint is reached. */
export const gateways = defineDerivation({
  name: 'gateway',
  each: GATEWAYS,
  reads: [USER_SERVICES, ENDPOINTS],
  writes: [WAYPOINTS, SERVICES, ...STATUS],
  derive({ key, value: gateway }, mesh) {
    const { namespace, name } = gateway.metadata;
    const service = mesh.get(USER_SERVICES, key);
    // By label, as Kubernetes does it: whoever runs the instances marks them.
    const instances = mesh.pickedBy(ENDPOINTS, namespace, { [LABEL.gatewayName]: name });
    const facts = {
      hasInstance: instances.some(({ healthy }) => healthy),
      foreignService: service !== null && !belongsToWaypoint(service),
    };
    const info = gatewayInfoOf(gateway, facts, mesh.options);
    const title = nameOfResource(gateway);
    return [
      entry(WAYPOINTS, key, info),
      ...(isRun(info) ? [entry(SERVICES, key, waypointService(info), SERVICE_RANK.waypoint)] : []),
      ...statusOf(title, conditionsOf(info, title), gatewayProblems(gateway, info)),
    ];
  },
});

/** What the mesh around a Gateway looks like. */
type GatewayFacts = {
  /** Some healthy workload carries its name. */
  hasInstance: boolean;
  /** A Service of the same name that is not the waypoint's own. */
  foreignService: boolean;
};

/** Sums a Gateway up for those that name it as their waypoint. */
function gatewayInfoOf(gateway: GatewayResource, facts: GatewayFacts, options: MeshOptions): GatewayInfo {
  const { namespace, name } = gateway.metadata;
  const managed = WAYPOINT_CLASSES.includes(gateway.className);
  return {
    key: `${namespace}/${name}`,
    namespace,
    name,
    className: gateway.className,
    serviceAccount: gateway.metadata.annotations[ANNOTATION.serviceAccount] ?? name,
    managed,
    traffic: trafficOf(gateway),
    allowed: hboneListenerOf(gateway)?.allowed ?? { kind: 'same' },
    address: managed ? ownAddress(namespace, name, options) : reportedAddress(gateway, options),
    state: managed ? managedState(gateway, facts) : unmanagedState(gateway),
  };
}

/** Other mesh controllers create the service of a waypoint themselves: such a one is not in the way. */
function belongsToWaypoint(service: ServiceResource): boolean {
  return isGenerated(service) && service.selector?.[LABEL.gatewayName] === service.metadata.name;
}

/** A hostname is preferred: an address may change with every restart of what stands behind it. */
function reportedAddress({ metadata, statusAddresses }: GatewayResource, options: MeshOptions): GatewayAddress {
  const { namespace, name } = metadata;
  const hostname = statusAddresses.find(({ type }) => type === 'Hostname')?.value;
  if (hostname !== undefined) return { kind: 'hostname', namespace, hostname, hbonePort: PORT.hbone };
  const address = tryParseIp(statusAddresses.find(({ type }) => type === 'IPAddress')?.value ?? '');
  if (address === null) return ownAddress(namespace, name, options);
  return { kind: 'address', network: options.network, address, hbonePort: PORT.hbone };
}

/** `unusable` cannot mend itself; `not-ready` is every waypoint's first moment. */
function managedState(gateway: GatewayResource, { hasInstance, foreignService }: GatewayFacts): GatewayInfo['state'] {
  const { namespace, name } = gateway.metadata;
  if (hboneListenerOf(gateway) === null)
    return { kind: 'unusable', why: 'it has no listener with protocol HBONE and port 15008' };
  // The name is taken, so clients would be sent to a service that is no waypoint.
  if (foreignService)
    return { kind: 'unusable', why: `Service ${namespace}/${name} has the name that the waypoint needs for itself` };
  return hasInstance ? { kind: 'ready' } : { kind: 'not-ready', why: 'no instance of it is running yet' };
}

/** All there is to see of a gateway of others is the address that its controller reports. */
function unmanagedState({ className, statusAddresses }: GatewayResource): GatewayInfo['state'] {
  if (statusAddresses.length > 0) return { kind: 'ready' };
  return { kind: 'not-ready', why: `the controller of class ${className} has not given it an address` };
}

/** The listener that decides who may use the waypoint. */
function hboneListenerOf({ listeners }: GatewayResource): GatewayListener | null {
  return listeners.find(({ protocol, port }) => protocol === HBONE_PROTOCOL && port === PORT.hbone) ?? null;
}

const TRAFFIC: readonly WaypointTraffic[] = ['service', 'workload', 'all', 'none'];

/** A value that is none counts as the default, and its author is told. */
function trafficOf({ metadata }: GatewayResource): WaypointTraffic {
  const wanted = metadata.labels[LABEL.waypointFor];
  return TRAFFIC.find((known) => known === wanted) ?? 'service';
}

/** Gateways of other controllers get no conditions of ours: two writers of one status would undo one another. */
function conditionsOf({ managed, state, className }: GatewayInfo, resource: ResourceName): Condition[] {
  if (!managed) return [];
  const accepted = trueCondition(resource, 'Accepted', 'Accepted', `class ${className}`);
  switch (state.kind) {
    case 'ready':
      return [accepted, trueCondition(resource, 'Programmed', 'Programmed', 'an instance is running')];
    case 'not-ready':
      return [accepted, falseCondition(resource, 'Programmed', 'AddressNotAssigned', state.why)];
    case 'unusable':
      return ['Accepted', 'Programmed'].map((type) => falseCondition(resource, type, 'Invalid', state.why));
  }
}

/** What its author should know about a Gateway of a waypoint class. */
function gatewayProblems(gateway: GatewayResource, info: GatewayInfo): Problem[] {
  if (!info.managed) return [];
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
