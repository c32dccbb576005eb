import { defineDerivation, type MeshReader } from '#control-plane/index/derivation.ts';
import { type MeshOptions, serviceHostname } from '#control-plane/index/mesh-options.ts';
import { OUTPUT, STATUS, statusOf } from '#control-plane/index/outputs.ts';
import { entry } from '#control-plane/index/table.ts';
import { ATTACHED_POLICIES } from '#control-plane/mesh/attachments.ts';
import { ENDPOINTS, type Endpoint, endpointResource, ownAddresses } from '#control-plane/mesh/endpoints.ts';
import { isRegistryOnly, NAMESPACES, namespaceAnnotations, namespaceLabels } from '#control-plane/mesh/namespaces.ts';
import { ENTRY_HOSTS, type EntryHost, entryMappings } from '#control-plane/mesh/service-entry-hosts.ts';
import {
  onePerNumber,
  SERVICES,
  type ServicePortResource,
  type ServiceResource,
  USER_SERVICES,
} from '#control-plane/mesh/services.ts';
import { type Binding, bindingOf, UNBOUND, waypointCondition } from '#control-plane/mesh/waypoint-binding.ts';
import {
  GUARDS,
  type GuardedService,
  guardOf,
  HTTP_DENIES,
  keysOf,
  policiesOfWaypoints,
} from '#control-plane/mesh/waypoint-guards.ts';
import { WAYPOINTS } from '#control-plane/mesh/waypoints.ts';
import { LABEL } from '#control-plane/mesh/well-known.ts';
import { POLICY_TABLES, policiesOfWorkload } from '#control-plane/mesh/workload-policies.ts';
import type { Labels } from '#control-plane/resources/metadata.ts';
import { policyKeyOf } from '#model/mesh/authorization.ts';
import { podMembership } from '#model/mesh/membership.ts';
import type { GatewayAddress } from '#model/mesh/service.ts';
import { type ServiceKey, serviceKeyOf } from '#model/mesh/service.ts';
import type { PortMapping, Workload } from '#model/mesh/workload.ts';
import { SHARED } from '#model/settings/control-planes.ts';

/** Workloads as workload discovery describes them: the services each endpoint joins, its policies and its waypoint. */
export const workloads = defineDerivation({
  name: 'workload',
  each: ENDPOINTS,
  reads: [
    ENDPOINTS,
    ENTRY_HOSTS,
    USER_SERVICES,
    SERVICES,
    NAMESPACES,
    WAYPOINTS,
    GUARDS,
    HTTP_DENIES,
    ATTACHED_POLICIES,
    ...POLICY_TABLES,
  ],
  writes: [OUTPUT.workloads, OUTPUT.policies, ...STATUS],
  derive({ key, value: described }, mesh) {
    const { addresses, problems: lost } = ownAddresses(described, mesh);
    const endpoint = { ...described, addresses };
    const { namespace, labels, problems } = endpoint;
    const resource = endpointResource(endpoint);
    const binding = bindEndpoint(endpoint, mesh);
    const services = mesh.picking(SERVICES, namespace, labels);
    const guarded = services.map((service): GuardedService => {
      const { metadata } = service;
      const guard = mesh.get(GUARDS, `${metadata.namespace}/${metadata.name}`);
      return { service, guard, ports: membershipOf(service, endpoint, mesh.options)[1].map(({ targetPort }) => targetPort) };
    });
    const byWaypoints = policiesOfWaypoints(endpoint, guarded, guardOf(binding, [], mesh), mesh);
    const policies = policiesOfWorkload(mesh, namespace, labels).concat(keysOf(byWaypoints));
    const registryOnly = isRegistryOnly(namespaceAnnotations(mesh, namespace));
    const isMeant = endpoint.kind !== 'pod' || isMeantForMesh(endpoint, namespaceLabels(mesh, namespace));
    const facts: WorkloadFacts = { services, waypoint: binding.address, policies, registryOnly, isMeant };
    const known = workloadOf(endpoint, facts, mesh.options);
    const hosts = mesh.picking(ENTRY_HOSTS, namespace, labels).map((host) => hostMembership(host, endpoint));
    const workload = hosts.length === 0 ? known : { ...known, services: new Map([...hosts, ...known.services]) };
    return [
      entry(OUTPUT.workloads, key, workload),
      ...byWaypoints.map((policy) => entry(OUTPUT.policies, policyKeyOf(policy), policy)),
      ...statusOf(resource, endpoint.hasConditions ? waypointCondition(resource, binding) : [], [
        ...(binding.problem === null ? [] : [binding.problem]),
        ...problems,
        ...lost,
      ]),
    ];
  },
});

/** Whether the agent of its node is to capture a pod. Of the sidecar of another mesh that one knows better. */
function isMeantForMesh({ namespace, labels, hostNetwork }: Endpoint, ofNamespace: Labels): boolean {
  return podMembership({ namespace, labels, namespaceLabels: ofNamespace, hostNetwork, hasSidecar: false }).isIn;
}

/** Instances of a waypoint never have one. */
function bindEndpoint({ namespace, labels }: Endpoint, mesh: MeshReader<typeof NAMESPACES | typeof WAYPOINTS>): Binding {
  const gateway = labels[LABEL.gatewayName];
  if (gateway !== undefined && mesh.get(WAYPOINTS, `${namespace}/${gateway}`) !== null) return UNBOUND;
  return bindingOf('workload', namespace, labels, mesh);
}

/** What a workload takes from the resources around it. */
export type WorkloadFacts = {
  /** Services that select the endpoint, in order of name. */
  services: readonly ServiceResource[];
  waypoint: GatewayAddress | null;
  /** Keys of selector-scoped policies, in order. */
  policies: readonly string[];
  registryOnly: boolean;
  /** Whether it is meant to be in the mesh, if it is not there yet. */
  isMeant: boolean;
};

/** The workload as workload discovery describes it. */
export function workloadOf(endpoint: Endpoint, facts: WorkloadFacts, options: MeshOptions): Workload {
  return {
    uid: endpoint.uid,
    name: endpoint.name,
    namespace: endpoint.namespace,
    addresses: endpoint.addresses,
    network: endpoint.network,
    tunnelProtocol: endpoint.captured || endpoint.nativeTunnel ? 'hbone' : 'none',
    nativeTunnel: endpoint.nativeTunnel,
    trustDomain: options.trustDomain,
    serviceAccount: endpoint.serviceAccount,
    waypoint: facts.waypoint,
    node: endpoint.node,
    canonicalName: canonicalNameOf(endpoint),
    canonicalRevision: canonicalRevisionOf(endpoint),
    workloadName: endpoint.workloadName,
    workloadKind: 'pod', // as an istiod says of all its sources
    authorizationPolicies: facts.policies.length === 0 ? NONE : facts.policies,
    healthy: endpoint.healthy,
    clusterId: options.clusterId,
    hostname: endpoint.hostname,
    services: membershipsOf(facts.services, endpoint, options),
    hostNetwork: endpoint.hostNetwork,
    capacity: endpoint.weight,
    registryOnly: facts.registryOnly,
    locality: endpoint.locality,
    ...(facts.isMeant || endpoint.captured ? {} : { outsideMesh: true }),
  };
}

const NONE: readonly never[] = [];

/** What endpoints of one service, and of no other, are to it: most are the same, and share one map. */
const MEMBERSHIPS = new WeakMap<ServiceResource, Map<string, Workload['services']>>();

function membershipsOf(services: readonly ServiceResource[], endpoint: Endpoint, options: MeshOptions): Workload['services'] {
  const all = services.map((service) => membershipOf(service, endpoint, options));
  const [only] = services;
  if (only === undefined || services.length > 1) return new Map(all);
  const known = MEMBERSHIPS.get(only) ?? new Map<string, Workload['services']>();
  MEMBERSHIPS.set(only, known);
  const word = JSON.stringify(all);
  const memberships = known.get(word) ?? new Map(all);
  if (known.size < SHARED.membershipsMax) known.set(word, memberships);
  return memberships;
}

function canonicalNameOf({ labels, workloadName }: Endpoint): string {
  return labels[LABEL.canonicalName] ?? labels['app.kubernetes.io/name'] ?? labels.app ?? workloadName;
}

function canonicalRevisionOf({ labels }: Endpoint): string {
  return labels[LABEL.canonicalRevision] ?? labels['app.kubernetes.io/version'] ?? labels.version ?? 'latest';
}

/** A host of an entry that picks the endpoint; a process that a node registered has no list of named ports. */
function hostMembership(
  { metadata: { namespace }, host, ports }: EntryHost,
  { kind, namedPorts }: Endpoint,
): [ServiceKey, PortMapping[]] {
  return [serviceKeyOf({ namespace, hostname: host }), entryMappings(ports, kind === 'registered' ? {} : namedPorts)];
}

function membershipOf(service: ServiceResource, endpoint: Endpoint, options: MeshOptions): [ServiceKey, PortMapping[]] {
  const { name, namespace } = service.metadata;
  const mappings = onePerNumber(service.ports).flatMap((port) => {
    const targetPort = targetPortOf(port, endpoint);
    return targetPort === null ? [] : [{ servicePort: port.port, targetPort }];
  });
  return [serviceKeyOf({ namespace, hostname: serviceHostname(namespace, name, options) }), mappings];
}

/** Port of the endpoint behind a service port; null: this endpoint does not have it. */
function targetPortOf({ name, port, target }: ServicePortResource, { kind, namedPorts }: Endpoint): number | null {
  const named = (portName: string) => (Object.hasOwn(namedPorts, portName) ? (namedPorts[portName] ?? null) : null);
  switch (kind) {
    case 'pod':
      return typeof target === 'number' ? target : named(target);
    case 'entry':
      return typeof target === 'number' ? (named(name) ?? target) : named(target);
    case 'registered':
      // A process has no list of named ports.
      return typeof target === 'number' ? target : port;
  }
}
