import { parseIp } from '#model/address/ip.ts';
import { type MeshDelta, MeshState } from './mesh-state.ts';
import { type Service, serviceKeyOf } from './service.ts';
import type { Workload } from './workload.ts';

/** A workload for tests: enrolled, healthy, namespace shop; `addresses` as text. */
export function aWorkload(name: string, addresses: string[], change: Partial<Workload> = {}): Workload {
  return {
    uid: `k//Pod/shop/${name}`,
    name,
    namespace: 'shop',
    addresses: addresses.map(parseIp),
    network: '',
    tunnelProtocol: 'hbone',
    nativeTunnel: false,
    trustDomain: 'cluster.local',
    serviceAccount: name,
    waypoint: null,
    node: 'one',
    canonicalName: name,
    canonicalRevision: 'latest',
    workloadName: name,
    workloadKind: 'deployment',
    authorizationPolicies: [],
    healthy: true,
    clusterId: 'Kubernetes',
    hostname: '',
    services: new Map(),
    hostNetwork: false,
    capacity: 1,
    registryOnly: false,
    locality: { region: '', zone: '', subzone: '' },
    ...change,
  };
}

/** A service of namespace shop with one port 80 → 8080. */
export function aService(name: string, vips: string[], change: Partial<Service> = {}): Service {
  return {
    name,
    namespace: 'shop',
    hostname: `${name}.shop.svc.cluster.local`,
    addresses: vips.map(parseIp),
    ports: [{ servicePort: 80, targetPort: 8080, appProtocol: 'unknown' }],
    subjectAltNames: [],
    waypoint: null,
    loadBalancing: null,
    ipFamilies: 'automatic',
    canonical: true,
    namespaceOnly: false,
    aliasOf: null,
    datagramPorts: [],
    affinityTimeoutS: 0,
    routes: [],
    ...change,
  };
}

/** What a workload lists to be an endpoint of `service`. */
export function endpointOf(service: Service, targetPort = 8080): Workload['services'] {
  return new Map([[serviceKeyOf(service), [{ servicePort: 80, targetPort }]]]);
}

/** A change that adds or replaces these. */
export function deltaOf(workloads: readonly Workload[], services: readonly Service[] = []): MeshDelta {
  return {
    workloads: new Map(workloads.map((one) => [one.uid, one])),
    services: new Map(services.map((one) => [serviceKeyOf(one), one])),
    policies: new Map(),
  };
}

/** A mesh of these. */
export function aMesh(workloads: readonly Workload[], services: readonly Service[] = []): MeshState {
  const mesh = new MeshState();
  mesh.apply(deltaOf(workloads, services));
  return mesh;
}
