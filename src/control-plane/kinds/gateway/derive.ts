import { defineDerivation } from '#control-plane/index/derivation.ts';
import type { MeshOptions } from '#control-plane/index/mesh-options.ts';
import { entry, tableOf } from '#control-plane/index/table.ts';
import { ENDPOINTS } from '#control-plane/mesh/endpoints.ts';
import { GATEWAY_CLASSES } from '#control-plane/mesh/gateway-classes.ts';
import { isGenerated, SERVICE_RANK, SERVICES, type ServiceResource, USER_SERVICES } from '#control-plane/mesh/services.ts';
import { type GatewayInfo, isRun, ownAddress, WAYPOINTS, type WaypointTraffic } from '#control-plane/mesh/waypoints.ts';
import { ANNOTATION, HBONE_PROTOCOL, LABEL, WAYPOINT_CLASSES } from '#control-plane/mesh/well-known.ts';
import type { Labels } from '#control-plane/resources/metadata.ts';
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
  reads: [USER_SERVICES, ENDPOINTS, GATEWAY_CLASSES],
  writes: [WAYPOINTS, SERVICES],
  derive({ key, value: gateway }, mesh) {
    const { namespace, name } = gateway.metadata;
    const service = mesh.get(USER_SERVICES, key);
    // By label, as Kubernetes does it: whoever runs the instances marks them.
    const instances = mesh.pickedBy(ENDPOINTS, namespace, { [LABEL.gatewayName]: name });
    const facts = {
      hasInstance: instances.some(({ healthy }) => healthy),
      foreignService: service !== null && !belongsToWaypoint(service),
      classLabels: mesh.get(GATEWAY_CLASSES, gateway.className)?.metadata.labels ?? {},
    };
    const info = gatewayInfoOf(gateway, facts, mesh.options);
    return [
      entry(WAYPOINTS, key, info),
      ...(isRun(info) ? [entry(SERVICES, key, waypointService(info), SERVICE_RANK.waypoint)] : []),
    ];
  },
});

/** What the mesh around a Gateway looks like. */
type GatewayFacts = {
  /** Some healthy workload carries its name. */
  hasInstance: boolean;
  /** A Service of the same name that is not the waypoint's own. */
  foreignService: boolean;
  /** Of its class, where there is one. */
  classLabels: Labels;
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
    automatic: gateway.metadata.annotations[ANNOTATION.automatic] === 'true',
    activated: gateway.metadata.annotations[ANNOTATION.activated] === 'true',
    traffic: trafficOf(gateway.metadata.labels) ?? trafficOf(facts.classLabels) ?? 'service',
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
  if (hasInstance) return { kind: 'ready' };
  const why = gateway.statusAddresses.length === 0 ? 'no instance of it is running yet' : 'no instance of it is running any more';
  return { kind: 'not-ready', why };
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

/** Words for the traffic that a waypoint takes. */
export const TRAFFIC: readonly WaypointTraffic[] = ['service', 'workload', 'all', 'none'];

/** null: nothing is said, or a word that is none; that counts as the default, and its author is told. */
function trafficOf(labels: Labels): WaypointTraffic | null {
  return TRAFFIC.find((known) => known === labels[LABEL.waypointFor]) ?? null;
}
