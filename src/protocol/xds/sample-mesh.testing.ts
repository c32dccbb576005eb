import { tryParseIp } from '#model/address/ip.ts';
import { type Authorization, EMPTY_MATCH } from '#model/mesh/authorization.ts';
import type { Service } from '#model/mesh/service.ts';
import type { Workload } from '#model/mesh/workload.ts';
import type { WaypointConfig } from '#model/waypoint/config.ts';

/** A workload of the bookshop, for tests; `changes` says what is different about it. */
export function sampleWorkload(changes: Partial<Workload> = {}): Workload {
  const name = changes.name ?? 'ratings';
  return {
    uid: `Kubernetes//Pod/shop/${name}`,
    name,
    namespace: 'shop',
    addresses: addresses('10.1.0.7'),
    network: '',
    tunnelProtocol: 'hbone',
    nativeTunnel: false,
    trustDomain: 'cluster.local',
    serviceAccount: 'ratings',
    waypoint: null,
    node: 'node-1',
    canonicalName: name,
    canonicalRevision: 'latest',
    workloadName: name,
    workloadKind: 'pod',
    authorizationPolicies: [],
    healthy: true,
    clusterId: 'Kubernetes',
    hostname: '',
    services: new Map([['shop/ratings.shop.svc.cluster.local', [{ servicePort: 80, targetPort: 8080 }]]]),
    hostNetwork: false,
    capacity: 1,
    registryOnly: false,
    locality: { region: '', zone: '', subzone: '' },
    ...changes,
  };
}

/** A service of the bookshop, for tests. */
export function sampleService(changes: Partial<Service> = {}): Service {
  return {
    name: 'ratings',
    namespace: 'shop',
    hostname: 'ratings.shop.svc.cluster.local',
    addresses: addresses('10.96.0.9'),
    ports: [{ servicePort: 80, targetPort: 8080, appProtocol: 'http11' }],
    subjectAltNames: [],
    waypoint: null,
    loadBalancing: null,
    ipFamilies: 'automatic',
    canonical: false,
    namespaceOnly: false,
    aliasOf: null,
    datagramPorts: [],
    affinityTimeoutS: 0,
    routes: [],
    ...changes,
  };
}

/** A policy that denies one service account, for tests. */
export function samplePolicy(changes: Partial<Authorization> = {}): Authorization {
  const match = { ...EMPTY_MATCH, serviceAccounts: [{ namespace: 'shop', serviceAccount: 'reviews' }] };
  return {
    name: 'deny-reviews',
    namespace: 'shop',
    scope: 'workload-selector',
    action: 'deny',
    rules: [{ clauses: [{ matches: [match] }] }],
    dryRun: false,
    ...changes,
  };
}

/** The configuration of a waypoint without services, for tests. */
export function sampleWaypointConfig(changes: Partial<WaypointConfig> = {}): WaypointConfig {
  const names = { namespace: 'shop', gateway: 'waypoint', trustDomain: 'cluster.local' };
  return { ...names, pathNormalization: 'BASE', services: [], policies: [], ...changes };
}

function addresses(...texts: string[]): Workload['addresses'] {
  return texts.flatMap((text) => tryParseIp(text) ?? []);
}
