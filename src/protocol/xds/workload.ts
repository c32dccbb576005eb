import { create } from '@bufbuild/protobuf';
import { anyPack, StringValueSchema } from '@bufbuild/protobuf/wkt';
import { bytesToIp, ipToBytes } from '#model/address/ip.ts';
import {
  type AppTunnel,
  DEFAULT_TRUST_DOMAIN,
  type PortMapping,
  type TunnelProtocol,
  type Workload,
  type WorkloadKind,
} from '#model/mesh/workload.ts';
import { AGENT } from '#model/settings/agents.ts';
import {
  type ApplicationTunnel,
  ApplicationTunnel_Protocol,
  ApplicationTunnelSchema,
  type Extension,
  ExtensionSchema,
  NetworkMode,
  type PortList,
  PortListSchema,
  TunnelProtocol as TunnelProtocolNumber,
  type Workload as WorkloadMessage,
  WorkloadSchema,
  WorkloadStatus,
  WorkloadType,
} from '#proto/workload_pb.js';
import { gatewayAddressFromProto, gatewayAddressToProto } from '#protocol/xds/gateway-address.ts';
import { knownEnum, rejectResource, wireEnum } from '#protocol/xds/resource-fault.ts';

/** What an empty field means on the wire. Source: docs/rules/control-plane.md. */
const DEFAULT_SERVICE_ACCOUNT = 'default';
const DEFAULT_CLUSTER = 'Kubernetes';
/** Of ours, since workload discovery knows nothing of what leaves the mesh. */
const EGRESS_EXTENSION = 'weft.dev/egress';
const REGISTRY_ONLY = 'registry-only';
/** Share of a workload whose capacity is absent. */
const DEFAULT_CAPACITY = 1;

// LEGACY_ISTIO_MTLS is left out on purpose: it is neither emitted (C17) nor accepted.
const TUNNEL_PROTOCOLS = new Map<number, TunnelProtocol>([
  [TunnelProtocolNumber.NONE, 'none'],
  [TunnelProtocolNumber.HBONE, 'hbone'],
]);
const KINDS = new Map<number, WorkloadKind>([
  [WorkloadType.DEPLOYMENT, 'deployment'],
  [WorkloadType.CRONJOB, 'cronjob'],
  [WorkloadType.POD, 'pod'],
  [WorkloadType.JOB, 'job'],
]);
const HOST_NETWORK = new Map<number, boolean>([
  [NetworkMode.STANDARD, false],
  [NetworkMode.HOST_NETWORK, true],
]);
const HEALTHY = new Map<number, boolean>([
  [WorkloadStatus.HEALTHY, true],
  [WorkloadStatus.UNHEALTHY, false],
]);
const APPLICATION_TUNNELS = new Map<number, 'as-it-is' | 'proxied'>([
  [ApplicationTunnel_Protocol.NONE, 'as-it-is'],
  [ApplicationTunnel_Protocol.PROXY, 'proxied'],
]);

/** The wire form of a workload; the same bytes on every replica, because map keys are sorted (C9). */
export function workloadToProto(workload: Workload): WorkloadMessage {
  const { region, zone, subzone } = workload.locality;
  const waypoint = gatewayAddressToProto(workload.waypoint);
  const hasLocality = region !== '' || zone !== '' || subzone !== '';
  return create(WorkloadSchema, {
    uid: workload.uid,
    name: workload.name,
    namespace: workload.namespace,
    addresses: workload.addresses.map((address) => ipToBytes(address)),
    network: workload.network,
    tunnelProtocol: wireEnum(TUNNEL_PROTOCOLS, workload.tunnelProtocol),
    nativeTunnel: workload.nativeTunnel,
    trustDomain: workload.trustDomain === DEFAULT_TRUST_DOMAIN ? '' : workload.trustDomain,
    serviceAccount: workload.serviceAccount,
    ...(waypoint === undefined ? {} : { waypoint }),
    node: workload.node,
    canonicalName: workload.canonicalName,
    canonicalRevision: workload.canonicalRevision,
    workloadName: workload.workloadName,
    workloadType: wireEnum(KINDS, workload.workloadKind),
    authorizationPolicies: [...workload.authorizationPolicies],
    status: wireEnum(HEALTHY, workload.healthy),
    clusterId: workload.clusterId,
    hostname: workload.hostname,
    services: servicesToProto(workload.services),
    networkMode: wireEnum(HOST_NETWORK, workload.hostNetwork),
    ...(hasLocality ? { locality: { region, zone, subzone } } : {}),
    // Absent means 1, and an explicit 0 would take the workload out of balancing at a ztunnel (C17).
    ...(workload.capacity > DEFAULT_CAPACITY ? { capacity: workload.capacity } : {}),
    ...(workload.appTunnel === undefined ? {} : { applicationTunnel: appTunnelToProto(workload.appTunnel) }),
    extensions: workload.registryOnly ? [registryOnlyToProto()] : [],
  });
}

function appTunnelToProto({ isProxied, port }: AppTunnel): ApplicationTunnel {
  return create(ApplicationTunnelSchema, { protocol: wireEnum(APPLICATION_TUNNELS, isProxied ? 'proxied' : 'as-it-is'), port });
}

function appTunnelFromProto(message: ApplicationTunnel | undefined): { appTunnel?: AppTunnel } {
  if (message === undefined) return {};
  const isProxied = knownEnum('application tunnel protocol', message.protocol, APPLICATION_TUNNELS) === 'proxied';
  if (message.port > 0xffff) rejectResource(`application tunnel port ${message.port} is no port`);
  return { appTunnel: { isProxied, port: message.port } };
}

/** Other proxies pass over it: they have no such mode. */
function registryOnlyToProto(): Extension {
  const config = anyPack(StringValueSchema, create(StringValueSchema, { value: REGISTRY_ONLY }));
  return create(ExtensionSchema, { name: EGRESS_EXTENSION, config });
}

/** A word that is not known restricts. */
function isRegistryOnly(extensions: readonly Extension[]): boolean {
  return extensions.some(({ name }) => name === EGRESS_EXTENSION);
}

function servicesToProto(services: Workload['services']): Record<string, PortList> {
  const sorted: Record<string, PortList> = {};
  for (const key of [...services.keys()].sort()) {
    const ports = (services.get(key) ?? []).map(({ servicePort, targetPort }) => ({ servicePort, targetPort }));
    sorted[key] = create(PortListSchema, { ports });
  }
  return sorted;
}

/** Errors: WEFT_XDS_RESOURCE or WEFT_IP with the reason why the workload cannot be used. */
export function workloadFromProto(message: WorkloadMessage): Workload {
  if (message.uid === '') rejectResource('workload has no uid');
  gatewayAddressFromProto('network_gateway', message.networkGateway);
  const { region = '', zone = '', subzone = '' } = message.locality ?? {};
  return {
    uid: message.uid,
    name: message.name,
    namespace: sharedText(message.namespace),
    addresses: message.addresses.map((bytes) => bytesToIp(bytes)),
    network: sharedText(message.network),
    tunnelProtocol: knownEnum('tunnel_protocol', message.tunnelProtocol, TUNNEL_PROTOCOLS),
    nativeTunnel: message.nativeTunnel,
    trustDomain: sharedText(message.trustDomain) || DEFAULT_TRUST_DOMAIN,
    serviceAccount: sharedText(message.serviceAccount) || DEFAULT_SERVICE_ACCOUNT,
    waypoint: gatewayAddressFromProto('waypoint', message.waypoint),
    node: sharedText(message.node),
    registryOnly: isRegistryOnly(message.extensions),
    canonicalName: message.canonicalName === message.name ? message.name : sharedText(message.canonicalName),
    canonicalRevision: sharedText(message.canonicalRevision),
    workloadName: message.workloadName === message.name ? message.name : sharedText(message.workloadName),
    workloadKind: KINDS.get(message.workloadType) ?? 'deployment', // for telemetry alone, so one that is not known costs nothing
    authorizationPolicies: policyLists.of(JSON.stringify(message.authorizationPolicies), message.authorizationPolicies),
    // Weight 0 takes nothing: the model knows no weight 0, so such a workload counts as unhealthy.
    healthy: knownEnum('status', message.status, HEALTHY) && message.capacity !== 0,
    clusterId: sharedText(message.clusterId) || DEFAULT_CLUSTER,
    hostname: sharedText(message.hostname),
    services: servicesFromProto(message.services),
    ...appTunnelFromProto(message.applicationTunnel),
    hostNetwork: knownEnum('network_mode', message.networkMode, HOST_NETWORK),
    capacity: message.capacity || DEFAULT_CAPACITY,
    locality: localities.of(JSON.stringify([region, zone, subzone]), { region, zone, subzone }),
  };
}

function servicesFromProto(services: WorkloadMessage['services']): ReadonlyMap<string, readonly PortMapping[]> {
  const mappings = new Map<string, readonly PortMapping[]>();
  for (const [key, list] of Object.entries(services)) {
    if (!key.includes('/')) rejectResource(`service key "${key}" is not <namespace>/<hostname>`);
    mappings.set(
      key,
      list.ports.map((port) => ({ servicePort: port.servicePort & 0xffff, targetPort: port.targetPort & 0xffff })),
    );
  }
  return serviceLists.of(JSON.stringify([...mappings]), mappings);
}

/**
 * One instance for values that are equal: of 100,000 workloads most fields are those of some thousand others, and each message that
 * is decoded has its own copies. Forgets all of them when there are too many, which costs no more than that.
 */
class SharedValues<Value> {
  readonly #known = new Map<string, Value>();

  /** The value that was first given for `key`, or this one. */
  of(key: string, value: Value): Value {
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    if (this.#known.size >= AGENT.sharedValuesMax) this.#known.clear();
    this.#known.set(key, value);
    return value;
  }
}

const texts = new SharedValues<string>();

/** The instance of a text that others have, too. */
function sharedText(text: string): string {
  return text === '' ? '' : texts.of(text, text);
}

const policyLists = new SharedValues<readonly string[]>();
const localities = new SharedValues<Workload['locality']>();
const serviceLists = new SharedValues<ReadonlyMap<string, readonly PortMapping[]>>();
