import { defineDerivation } from '#control-plane/index/derivation.ts';
import type { MeshOptions } from '#control-plane/index/mesh-options.ts';
import { REGISTRATIONS } from '#control-plane/index/registrations.ts';
import { ENDPOINT_TABLES, type Endpoint, endpointEntries } from '#control-plane/mesh/endpoints.ts';
import { type Locality, localityOf, NODE_LOCALITIES } from '#control-plane/mesh/nodes.ts';
import { LABEL } from '#control-plane/mesh/well-known.ts';
import { type Problem, warningAt } from '#control-plane/resources/finding.ts';
import { tryParseIp } from '#model/address/ip.ts';
import type { RegisteredWorkload } from '#model/mesh/registration.ts';

/** Endpoints of the workloads that nodes registered. Of two nodes with one of the same name the first by node name counts. */
export const registeredEndpoints = defineDerivation({
  name: 'registered endpoint',
  each: REGISTRATIONS,
  reads: [REGISTRATIONS, NODE_LOCALITIES],
  writes: [...ENDPOINT_TABLES],
  derive({ value }, mesh) {
    const rivals = mesh.valuesBy(REGISTRATIONS, 'workload', `${value.namespace}/${value.name}`);
    // Also while the first one has no address: which of two counts must not depend on how far each of them has come.
    if (rivals[0]?.node !== value.node) return [];
    const endpoint = endpointOf(value, localityOf(mesh, value.node), problemsOf(rivals), mesh.options);
    return endpoint === null ? [] : endpointEntries(endpoint);
  },
});

function problemsOf(rivals: readonly RegisteredWorkload[]): Problem[] {
  const nodes = rivals.map(({ node }) => node);
  if (nodes.length < 2) return [];
  const message = `nodes ${nodes.join(' and ')} run a workload of this name; only that of ${nodes[0]} is known to the mesh`;
  return [warningAt('WEFT_WORKLOAD_DUPLICATE', [], message, 'give each workload of a namespace its own name')];
}

/** null: it has no address yet. */
function endpointOf(
  workload: RegisteredWorkload,
  locality: Locality,
  problems: readonly Problem[],
  options: MeshOptions,
): Endpoint | null {
  const { name, namespace, labels, enrolled, nativeTunnel, draining = false } = workload;
  const addresses = workload.addresses.map(tryParseIp).filter((ip) => ip !== null);
  if (addresses.length === 0) return null;
  return {
    uid: registeredUid(workload, options),
    kind: 'registered',
    hasConditions: false,
    problems,
    name,
    namespace,
    labels,
    serviceAccount: workload.serviceAccount || 'default',
    node: workload.node,
    addresses,
    hostname: '',
    network: options.network,
    locality,
    weight: workload.weight ?? 1,
    hostNetwork: false,
    // Until it is captured a peer could only reach it in plain text, so nobody is sent there.
    healthy: (enrolled || nativeTunnel) && !draining,
    captured: enrolled,
    nativeTunnel,
    workloadName: labels[LABEL.workloadName] ?? name,
    namedPorts: {},
  };
}

/** Key of a registered workload: one of a name in the whole mesh, whichever node runs it. */
export function registeredUid({ namespace, name }: { namespace: string; name: string }, { clusterId }: MeshOptions): string {
  return `${clusterId}/weft.dev/Workload/${namespace}/${name}`;
}
