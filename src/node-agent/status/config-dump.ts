import { formatAddress, formatCidr } from '#model/address/ip.ts';

import type { KernelMaps } from '#model/kernel/maps.ts';
import type { Authorization, Match } from '#model/mesh/authorization.ts';
import type { MeshState } from '#model/mesh/mesh-state.ts';
import { type GatewayAddress, type Service, serviceKeyOf } from '#model/mesh/service.ts';
import { DEFAULT_TRUST_DOMAIN, type Workload } from '#model/mesh/workload.ts';
import type { Enrolled } from '#node-agent/enrollment/enrollment.ts';
import type { OpenCall } from '#node-agent/seam/messages.ts';

/** One certificate as tools show it; `pem`: the PEM text in base64. */
export type DumpedCertificate = { pem: string; serialNumber: string; validFrom: string; expirationTime: string };

/** An identity with its certificates, and no key. */
export type DumpedIdentity = {
  identity: string;
  /** `Available`, `Initializing`, or `Unavailable: WHY`. */
  state: string;
  certChain: readonly DumpedCertificate[];
  rootCerts: readonly DumpedCertificate[];
};

/** What a dump is made of. */
export type DumpParts = {
  readonly mesh: MeshState;
  readonly enrolled: readonly Enrolled[];
  /** Connections that the agent carries. */
  readonly calls: readonly OpenCall[];
  readonly maps: Pick<KernelMaps, 'flows'>;
  readonly certificates: readonly DumpedIdentity[];
  readonly version: string;
};

type Connections = { inbound: DumpedConnection[]; outbound: DumpedConnection[] };
type DumpedConnection = { src: string; originalDst: string; actualDst: string; protocol: string };

/**
 * What the agent holds, in the shape of a ztunnel's `/config_dump`, which `istioctl ztunnel-config` reads. It holds neither keys
 * nor tokens.
 */
export function configDump({ mesh, enrolled, calls, maps, certificates, version }: DumpParts) {
  const workloads = [...mesh.workloads()];
  const members = Map.groupBy(
    workloads.flatMap((workload) => [...workload.services].map(([key, ports]) => ({ key, ports, uid: workload.uid }))),
    ({ key }) => key,
  );
  const connections = connectionsOf(enrolled, calls, maps);
  return {
    workloads: workloads.map(dumpedWorkload),
    services: [...mesh.services()].map((service) => ({
      ...dumpedService(service),
      endpoints: Object.fromEntries(
        (members.get(serviceKeyOf(service)) ?? []).map(({ uid, ports }) => [
          uid,
          { workloadUid: uid, port: Object.fromEntries(ports.map(({ servicePort, targetPort }) => [servicePort, targetPort])) },
        ]),
      ),
    })),
    policies: [...mesh.policies()].map(dumpedPolicy),
    stagedServices: {},
    staticConfig: {},
    version: { version },
    config: {},
    certificates,
    workloadState: Object.fromEntries(
      enrolled.map(({ request: { uid, name, namespace, serviceAccount } }) => [
        uid,
        {
          state: 'Up',
          connections: connections.get(uid) ?? { inbound: [], outbound: [] },
          info: { name, namespace, serviceAccount },
        },
      ]),
    ),
  };
}

/** How an identity stands. */
export function identityState(hasCertificate: boolean, error: string | null): string {
  if (hasCertificate) return 'Available';
  return error === null ? 'Initializing' : `Unavailable: ${error}`;
}

function dumpedWorkload(workload: Workload) {
  const { waypoint, trustDomain, locality } = workload;
  const { region, zone, subzone } = locality;
  return {
    uid: workload.uid,
    workloadIps: [...workload.addresses],
    ...(waypoint === null ? {} : { waypoint: dumpedGateway(waypoint) }),
    protocol: workload.tunnelProtocol.toUpperCase(),
    name: workload.name,
    namespace: workload.namespace,
    serviceAccount: workload.serviceAccount,
    workloadName: workload.workloadName,
    workloadType: workload.workloadKind,
    canonicalName: workload.canonicalName,
    canonicalRevision: workload.canonicalRevision,
    clusterId: workload.clusterId,
    ...(trustDomain === DEFAULT_TRUST_DOMAIN ? {} : { trustDomain }),
    ...(region === '' ? {} : { locality: { region, zone, subzone } }),
    node: workload.node,
    network: workload.network,
    ...(workload.hostname === '' ? {} : { hostname: workload.hostname }),
    networkMode: workload.hostNetwork ? 'HostNetwork' : 'Standard',
    nativeTunnel: workload.nativeTunnel,
    status: workload.healthy ? 'Healthy' : 'Unhealthy',
    capacity: workload.capacity,
    authorizationPolicies: [...workload.authorizationPolicies],
    services: [...workload.services.keys()],
  };
}

function dumpedService(service: Service) {
  const { waypoint, loadBalancing } = service;
  return {
    name: service.name,
    namespace: service.namespace,
    hostname: service.hostname,
    vips: [...service.addresses, ...(service.blocks ?? []).map(formatCidr)].map((address) => `/${address}`),
    ports: Object.fromEntries(service.ports.map(({ servicePort, targetPort }) => [servicePort, targetPort])),
    subjectAltNames: [...service.subjectAltNames],
    ...(waypoint === null ? {} : { waypoint: dumpedGateway(waypoint) }),
    ...(loadBalancing === null
      ? {}
      : {
          loadBalancer: {
            mode: capital(loadBalancing.mode),
            routingPreferences: loadBalancing.routingPreference.map(capital),
            healthPolicy: loadBalancing.allowUnhealthy ? 'AllowAll' : 'OnlyHealthy',
          },
        }),
    ipFamilies: service.ipFamilies,
    canonical: service.canonical,
  };
}

function dumpedGateway(gateway: GatewayAddress) {
  const destination =
    gateway.kind === 'hostname' ? `${gateway.namespace}/${gateway.hostname}` : `${gateway.network}/${gateway.address}`;
  return { destination, hboneMtlsPort: gateway.hbonePort };
}

function dumpedPolicy({ name, namespace, scope, action, rules, dryRun }: Authorization) {
  const scopes = { global: 'Global', namespace: 'Namespace', 'workload-selector': 'WorkloadSelector' };
  return {
    ...{ name, namespace, scope: scopes[scope], action: capital(action), dryRun },
    rules: rules.map(({ clauses }) => clauses.map(({ matches }) => matches.map(dumpedMatch))),
  };
}

/** Only what is asked for: an empty field matches everything. */
function dumpedMatch(match: Match) {
  const { sourceIps, notSourceIps, destinationIps, notDestinationIps, ...others } = match;
  const cidrs = Object.entries({ sourceIps, notSourceIps, destinationIps, notDestinationIps }).map(
    ([field, list]) => [field, list.map(({ base, length }) => `${base}/${length}`)] as const,
  );
  const strings = Object.entries(others).map(([field, list]) => [field, list.map(shownMatch)] as const);
  return Object.fromEntries([...strings, ...cidrs].filter(([, list]) => list.length > 0));
}

function shownMatch(one: Match['principals'][number] | Match['serviceAccounts'][number] | number): unknown {
  if (typeof one === 'number') return one;
  if ('serviceAccount' in one) return `${one.namespace}/${one.serviceAccount}`;
  return one.kind === 'presence' ? { Presence: null } : { [capital(one.kind)]: one.value };
}

/** By workload of this node: what the agent carries, and what the kernel does. */
function connectionsOf(
  enrolled: DumpParts['enrolled'],
  calls: DumpParts['calls'],
  maps: DumpParts['maps'],
): Map<string, Connections> {
  const all = new Map<string, Connections>();
  const add = (uid: string, direction: keyof Connections, connection: DumpedConnection): void => {
    const known = all.get(uid) ?? { inbound: [], outbound: [] };
    all.set(uid, known);
    known[direction].push(connection);
  };
  for (const { uid, direction, src, dialled, dst, via } of calls) {
    const [originalDst, actualDst] = [dialled ?? dst, dst];
    add(uid, direction, { src, originalDst, actualDst, protocol: via === 'hbone' || via === 'waypoint' ? 'HBONE' : 'TCP' });
  }
  const uids = new Map(enrolled.map(({ id, request }) => [id, request.uid]));
  for (const [, { flow, sourceId, destinationId }] of maps.flows.entries()) {
    const { source, sourcePort, destination, destinationPort } = flow;
    if (source === null || destination === null) continue;
    const [src, dst] = [formatAddress(source, sourcePort), formatAddress(destination, destinationPort)];
    const connection = { src, originalDst: dst, actualDst: dst, protocol: 'TCP' };
    const [opener, server] = [uids.get(sourceId), uids.get(destinationId)];
    if (opener !== undefined) add(opener, 'outbound', connection);
    if (server !== undefined) add(server, 'inbound', connection);
  }
  return all;
}

function capital(word: string): string {
  return word.slice(0, 1).toUpperCase() + word.slice(1);
}
