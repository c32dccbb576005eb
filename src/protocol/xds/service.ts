import { create } from '@bufbuild/protobuf';
import { anyPack, anyUnpack, StringValueSchema } from '@bufbuild/protobuf/wkt';
import { bytesToIp, type Cidr, cidrAround, ipToBytes, isSingle } from '#model/address/ip.ts';
import { isDnsName } from '#model/dns/alias.ts';
import type { AppProtocol, LoadBalancing, Scope, Service, ServicePort } from '#model/mesh/service.ts';
import {
  AppProtocol as AppProtocolNumber,
  type Extension,
  ExtensionSchema,
  LoadBalancing_HealthPolicy as HealthPolicy,
  IPFamilies,
  type LoadBalancing as LoadBalancingMessage,
  LoadBalancingSchema,
  LoadBalancing_Mode as Mode,
  type NetworkAddress,
  type Port,
  LoadBalancing_Scope as ScopeNumber,
  type Service as ServiceMessage,
  ServiceSchema,
  Service_Visibility as Visibility,
} from '#proto/workload_pb.js';
import { gatewayAddressFromProto, gatewayAddressToProto } from '#protocol/xds/gateway-address.ts';
import { knownEnum, rejectResource, wireEnum } from '#protocol/xds/resource-fault.ts';
import { trafficFromProto, trafficToProto } from '#protocol/xds/service-traffic.ts';
import { canaryFromProto, weightedWaypointsToProto } from '#protocol/xds/weighted-waypoints.ts';

/** The network of addresses that this mesh hands out and looks at (one network per mesh today). */
export const LOCAL_NETWORK = '';

/** Of ours, since workload discovery knows no aliases. */
const ALIAS_EXTENSION = 'weft.dev/alias-of';

const APP_PROTOCOLS = new Map<number, AppProtocol>([
  [AppProtocolNumber.UNKNOWN, 'unknown'],
  [AppProtocolNumber.HTTP11, 'http11'],
  [AppProtocolNumber.HTTP2, 'http2'],
  [AppProtocolNumber.GRPC, 'grpc'],
  [AppProtocolNumber.TCP, 'tcp'],
  [AppProtocolNumber.TLS, 'tls'],
]);
const IP_FAMILIES = new Map<number, Service['ipFamilies']>([
  [IPFamilies.AUTOMATIC, 'automatic'],
  [IPFamilies.IPV4_ONLY, 'ipv4'],
  [IPFamilies.IPV6_ONLY, 'ipv6'],
  [IPFamilies.DUAL, 'dual'],
]);
const MODES = new Map<number, LoadBalancing['mode']>([
  [Mode.UNSPECIFIED_MODE, 'unspecified'],
  [Mode.STRICT, 'strict'],
  [Mode.FAILOVER, 'failover'],
  [Mode.PASSTHROUGH, 'passthrough'],
]);
// UNSPECIFIED_SCOPE is refused like a number nobody knows.
const SCOPES = new Map<number, Scope>([
  [ScopeNumber.REGION, 'region'],
  [ScopeNumber.ZONE, 'zone'],
  [ScopeNumber.SUBZONE, 'subzone'],
  [ScopeNumber.NODE, 'node'],
  [ScopeNumber.CLUSTER, 'cluster'],
  [ScopeNumber.NETWORK, 'network'],
]);
const ALLOW_UNHEALTHY = new Map<number, boolean>([
  [HealthPolicy.ONLY_HEALTHY, false],
  [HealthPolicy.ALLOW_ALL, true],
]);

/** The wire form of a service. */
export function serviceToProto(service: Service): ServiceMessage {
  const waypoint = gatewayAddressToProto(service.waypoint);
  return create(ServiceSchema, {
    name: service.name,
    namespace: service.namespace,
    hostname: service.hostname,
    addresses: [
      ...service.addresses.map((address) => ({ network: LOCAL_NETWORK, address: ipToBytes(address) })),
      ...(service.blocks ?? []).map(({ base, length }) => ({ network: LOCAL_NETWORK, address: ipToBytes(base), length })),
    ],
    ports: service.ports.map(({ servicePort, targetPort, appProtocol }) => ({
      servicePort,
      targetPort,
      appProtocol: wireEnum(APP_PROTOCOLS, appProtocol),
    })),
    subjectAltNames: [...service.subjectAltNames],
    ...(waypoint === undefined ? {} : { waypoint }),
    weightedWaypoints: weightedWaypointsToProto(service),
    ...(service.loadBalancing === null ? {} : { loadBalancing: loadBalancingToProto(service.loadBalancing) }),
    ipFamilies: wireEnum(IP_FAMILIES, service.ipFamilies),
    canonical: service.canonical,
    visibility: service.namespaceOnly ? Visibility.NAMESPACE : Visibility.PUBLIC,
    extensions: [service.aliasOf === null ? null : aliasToProto(service.aliasOf), trafficToProto(service)].filter(
      (extension) => extension !== null,
    ),
  });
}

/** Other proxies pass over what they do not know; to them it is a headless service without endpoints. */
function aliasToProto(value: string): Extension {
  const config = anyPack(StringValueSchema, create(StringValueSchema, { value }));
  return create(ExtensionSchema, { name: ALIAS_EXTENSION, config });
}

function aliasFromProto(extensions: readonly Extension[]): string | null {
  const config = extensions.find(({ name }) => name === ALIAS_EXTENSION)?.config;
  const alias = config === undefined ? undefined : anyUnpack(config, StringValueSchema)?.value.toLowerCase();
  if (alias === undefined) return null;
  return isDnsName(alias) ? alias : rejectResource(`"${alias}" is no name that a service could be an alias of`);
}

function loadBalancingToProto(balancing: LoadBalancing): LoadBalancingMessage {
  return create(LoadBalancingSchema, {
    mode: wireEnum(MODES, balancing.mode),
    routingPreference: balancing.routingPreference.map((scope) => wireEnum(SCOPES, scope)),
    healthPolicy: wireEnum(ALLOW_UNHEALTHY, balancing.allowUnhealthy),
  });
}

/** Errors: WEFT_XDS_RESOURCE or WEFT_IP with the reason why the service cannot be used. */
export function serviceFromProto(message: ServiceMessage): Service {
  if (message.hostname === '') rejectResource('service has no hostname');
  const waypoint = gatewayAddressFromProto('waypoint', message.waypoint);
  const canary = canaryFromProto(message, waypoint);
  const local = message.addresses.flatMap(localBlock);
  const addresses = local.filter(isSingle).map(({ base }) => base);
  const blocks = local.filter((block) => !isSingle(block));
  return {
    name: message.name,
    namespace: message.namespace,
    hostname: message.hostname,
    addresses,
    ...(blocks.length > 0 && { blocks }),
    ports: message.ports.map(portFromProto),
    subjectAltNames: message.subjectAltNames,
    waypoint,
    ...(canary && { canary }),
    loadBalancing: message.loadBalancing === undefined ? null : loadBalancingFromProto(message.loadBalancing),
    ipFamilies: knownEnum('ip_families', message.ipFamilies, IP_FAMILIES),
    canonical: message.canonical,
    // An unknown visibility counts as public, as at every other client.
    namespaceOnly: message.visibility === Visibility.NAMESPACE,
    aliasOf: aliasFromProto(message.extensions),
    ...trafficFromProto(message.extensions),
  };
}

/** A VIP of this network, or a block of them; another network's has no place in the model and is passed over. */
function localBlock(wire: NetworkAddress): Cidr[] {
  const address = bytesToIp(wire.address);
  const cidr = cidrAround(address, wire.length ?? wire.address.length * 8);
  if (cidr === null) return rejectResource(`address ${address}/${wire.length} has too long a prefix`);
  return wire.network === LOCAL_NETWORK ? [cidr] : [];
}

function portFromProto(port: Port): ServicePort {
  return {
    servicePort: port.servicePort & 0xffff,
    targetPort: port.targetPort & 0xffff,
    appProtocol: APP_PROTOCOLS.get(port.appProtocol) ?? 'unknown',
  };
}

function loadBalancingFromProto(message: LoadBalancingMessage): LoadBalancing {
  return {
    mode: knownEnum('load balancing mode', message.mode, MODES),
    routingPreference: message.routingPreference.map((scope) => knownEnum('load balancing scope', scope, SCOPES)),
    allowUnhealthy: knownEnum('health policy', message.healthPolicy, ALLOW_UNHEALTHY),
  };
}
