import type { GatewayKey } from '#control-plane/index/index-delta.ts';
import { type MeshOptions, serviceHostname } from '#control-plane/index/mesh-options.ts';
import { HBONE_PROTOCOL, LABEL, WAYPOINT_CLASSES } from '#control-plane/index/well-known.ts';
import { type Problem, warningAt } from '#control-plane/resources/finding.ts';
import type { AllowedNamespaces, GatewayListener, GatewayResource } from '#control-plane/resources/kinds/gateway.ts';
import { didYouMean } from '#control-plane/resources/nearest-name.ts';
import { tryParseIp } from '#model/address/ip.ts';
import { PORT } from '#model/mesh/ports.ts';
import type { GatewayAddress } from '#model/mesh/service.ts';

/** Which traffic a waypoint takes. */
export type WaypointTraffic = 'service' | 'workload' | 'all' | 'none';

/** What binding needs to know of a Gateway. */
export type GatewayInfo = {
  key: GatewayKey;
  namespace: string;
  name: string;
  className: string;
  /** Weft runs it. */
  managed: boolean;
  traffic: WaypointTraffic;
  allowed: AllowedNamespaces;
  /** Where traffic for it is sent, whether it is ready or not. */
  address: GatewayAddress;
  state:
    | { kind: 'ready' }
    /** Bound all the same: traffic is refused until it is ready. */
    | { kind: 'not-ready'; why: string }
    /** Can never work as it is: traffic is refused. */
    | { kind: 'unusable'; why: string };
};

/** Whether Weft runs a waypoint for the Gateway. */
export function isRun(info: GatewayInfo | null): info is GatewayInfo {
  return info?.managed === true && info.state.kind !== 'unusable';
}

/** What the mesh around a Gateway looks like. */
export type GatewayFacts = {
  /** Some healthy workload carries its name. */
  hasInstance: boolean;
  /** A Service of the same name that is not the waypoint's own. */
  foreignService: boolean;
};

/** Sums a Gateway up for those that name it as their waypoint. */
export function gatewayInfoOf(gateway: GatewayResource, facts: GatewayFacts, options: MeshOptions): GatewayInfo {
  const { namespace, name } = gateway.metadata;
  const managed = WAYPOINT_CLASSES.includes(gateway.className);
  return {
    key: `${namespace}/${name}`,
    namespace,
    name,
    className: gateway.className,
    managed,
    traffic: trafficOf(gateway),
    allowed: hboneListenerOf(gateway)?.allowed ?? { kind: 'same' },
    address: managed ? ownAddress(namespace, name, options) : reportedAddress(gateway, options),
    state: managed ? managedState(gateway, facts) : unmanagedState(gateway),
  };
}

/** The waypoint's own service, by name: also the address of a Gateway that does not exist (yet). */
export function ownAddress(namespace: string, name: string, options: MeshOptions): GatewayAddress {
  return { kind: 'hostname', namespace, hostname: serviceHostname(namespace, name, options), hbonePort: PORT.hbone };
}

/** An address that no service can have (RFC 6761), whose name says why the traffic is refused. */
export function refusedAddress(namespace: string, name: string, why: string): GatewayAddress {
  return { kind: 'hostname', namespace, hostname: `${name}.${namespace}.${why}.invalid`, hbonePort: PORT.hbone };
}

function reportedAddress({ metadata, statusAddresses }: GatewayResource, options: MeshOptions): GatewayAddress {
  const { namespace, name } = metadata;
  const hostname = statusAddresses.find(({ type }) => type === 'Hostname')?.value;
  if (hostname !== undefined) return { kind: 'hostname', namespace, hostname, hbonePort: PORT.hbone };
  const address = tryParseIp(statusAddresses.find(({ type }) => type === 'IPAddress')?.value ?? '');
  if (address === null) return ownAddress(namespace, name, options);
  return { kind: 'address', network: options.network, address, hbonePort: PORT.hbone };
}

function managedState(gateway: GatewayResource, { hasInstance, foreignService }: GatewayFacts): GatewayInfo['state'] {
  const { namespace, name } = gateway.metadata;
  if (hboneListenerOf(gateway) === null)
    return { kind: 'unusable', why: 'it has no listener with protocol HBONE and port 15008' };
  if (foreignService)
    return { kind: 'unusable', why: `Service ${namespace}/${name} has the name that the waypoint needs for itself` };
  return hasInstance ? { kind: 'ready' } : { kind: 'not-ready', why: 'no instance of it is running yet' };
}

function unmanagedState({ className, statusAddresses }: GatewayResource): GatewayInfo['state'] {
  if (statusAddresses.length > 0) return { kind: 'ready' };
  return { kind: 'not-ready', why: `the controller of class ${className} has not given it an address` };
}

/** The listener that decides who may use the waypoint. */
export function hboneListenerOf({ listeners }: GatewayResource): GatewayListener | null {
  return listeners.find(({ protocol, port }) => protocol === HBONE_PROTOCOL && port === PORT.hbone) ?? null;
}

const TRAFFIC: readonly WaypointTraffic[] = ['service', 'workload', 'all', 'none'];

function trafficOf({ metadata }: GatewayResource): WaypointTraffic {
  const wanted = metadata.labels[LABEL.waypointFor];
  return TRAFFIC.find((known) => known === wanted) ?? 'service';
}

/** What its author should know about a Gateway of a waypoint class. */
export function gatewayProblems(gateway: GatewayResource, info: GatewayInfo): Problem[] {
  if (!info.managed) return [];
  const problems: Problem[] = [];
  const wanted = gateway.metadata.labels[LABEL.waypointFor];
  if (wanted !== undefined && !TRAFFIC.some((known) => known === wanted)) {
    const message = `"${wanted}" is no kind of traffic${didYouMean(wanted, TRAFFIC)}; the waypoint takes service traffic`;
    const path = ['metadata', 'labels', LABEL.waypointFor];
    problems.push(warningAt('WEFT_LIKELY_MISTAKE', path, message, `write one of ${TRAFFIC.join(', ')}`));
  }
  for (const [at, { protocol, port }] of gateway.listeners.entries()) {
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
