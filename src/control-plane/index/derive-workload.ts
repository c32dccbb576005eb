import { onePerNumber } from '#control-plane/index/derive-service.ts';
import type { Endpoint } from '#control-plane/index/endpoint.ts';
import { type MeshOptions, serviceHostname } from '#control-plane/index/mesh-options.ts';
import { LABEL } from '#control-plane/index/well-known.ts';
import type { ServicePortResource, ServiceResource } from '#control-plane/resources/kinds/service.ts';
import { type GatewayAddress, type ServiceKey, serviceKeyOf } from '#model/mesh/service.ts';
import type { PortMapping, Workload } from '#model/mesh/workload.ts';

/** What a workload takes from the resources around it. */
export type WorkloadFacts = {
  /** Services that select the endpoint, in order of name. */
  services: readonly ServiceResource[];
  waypoint: GatewayAddress | null;
  /** Keys of selector-scoped policies, in order. */
  policies: readonly string[];
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
    authorizationPolicies: facts.policies,
    healthy: endpoint.healthy,
    clusterId: options.clusterId,
    hostname: endpoint.hostname,
    services: new Map(facts.services.map((service) => membershipOf(service, endpoint, options))),
    hostNetwork: endpoint.hostNetwork,
    capacity: endpoint.weight,
    locality: endpoint.locality,
  };
}

function canonicalNameOf({ labels, workloadName }: Endpoint): string {
  return labels[LABEL.canonicalName] ?? labels['app.kubernetes.io/name'] ?? labels.app ?? workloadName;
}

function canonicalRevisionOf({ labels }: Endpoint): string {
  return labels[LABEL.canonicalRevision] ?? labels['app.kubernetes.io/version'] ?? labels.version ?? 'latest';
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
