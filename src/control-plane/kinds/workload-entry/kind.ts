import { defineDerivation } from '#control-plane/index/derivation.ts';
import { defineKind } from '#control-plane/index/kind-definition.ts';
import type { MeshOptions } from '#control-plane/index/mesh-options.ts';
import { tableOf } from '#control-plane/index/table.ts';
import {
  ENDPOINT_TABLES,
  type Endpoint,
  endpointEntries,
  hasNativeTunnel,
  isCaptured,
  NO_PROBLEMS,
} from '#control-plane/mesh/endpoints.ts';
import { ANNOTATION, LABEL } from '#control-plane/mesh/well-known.ts';
import { boundStatus } from '#control-plane/resources/cluster-kind.ts';
import { eachField } from '#control-plane/resources/field-table.ts';
import { errorAt, type Problem } from '#control-plane/resources/finding.ts';
import { flatText } from '#control-plane/resources/flat-text.ts';
import type { Labels, Metadata, RawMetadata } from '#control-plane/resources/metadata.ts';
import { SUBDOMAIN } from '#control-plane/resources/schema.ts';
import type { IpAddress } from '#model/address/ip.ts';
import { tryParseIp } from '#model/address/ip.ts';

/** An endpoint that is no pod. */
export type WorkloadEntryResource = {
  kind: 'WorkloadEntry';
  metadata: Metadata;
  /** null: reached by `hostname`. */
  address: IpAddress | null;
  /** '' when there is an address. */
  hostname: string;
  /** Ports by name, in place of what a service's targetPort says. */
  ports: Readonly<Record<string, number>>;
  /** Those of the metadata and of the spec; the spec wins. */
  labels: Labels;
  /** '' for the mesh's own network. */
  network: string;
  locality: { region: string; zone: string; subzone: string };
  /** Relative balancing weight, at least 1. */
  weight: number;
  serviceAccount: string;
};

/** The document, once its schema has passed. */
export type RawWorkloadEntry = {
  metadata: RawMetadata;
  spec: {
    address?: string;
    ports?: Record<string, number>;
    labels?: Record<string, string>;
    network?: string;
    locality?: string;
    weight?: number;
    serviceAccount?: string;
  };
};

/** Entries as they were read. */
const WORKLOAD_ENTRIES = tableOf<WorkloadEntryResource>()('workload-entries');

/** The endpoint that each entry describes; it exists for as long as the entry does. */
const entryEndpoints = defineDerivation({
  name: 'workload entry',
  each: WORKLOAD_ENTRIES,
  reads: [],
  writes: [...ENDPOINT_TABLES],
  derive: ({ value }, { options }) => endpointEntries(endpointOf(value, options)),
});

/** How a WorkloadEntry is read. */
export const workloadEntryKind = defineKind({
  kind: 'WorkloadEntry',
  group: 'networking.istio.io',
  versions: ['v1', 'v1beta1', 'v1alpha3'],
  namespaced: true,
  schema: { kind: 'crd', file: 'networking.istio.io_workloadentries.yaml' },
  unknownFields: 'error',
  fields: eachField('spec.', 'address labels locality network ports serviceAccount weight'),
  check: checkWorkloadEntry,
  read: readWorkloadEntry,
  // Without it there is nothing to reach: no loss that could open anything.
  restricts: false,
  cluster: { status: boundStatus('conditions') },
  resources: WORKLOAD_ENTRIES,
  derivations: [entryEndpoints],
});

/** An address that is no IP address is a hostname: the check has refused everything else. */
function readWorkloadEntry({ spec }: RawWorkloadEntry, metadata: Metadata): WorkloadEntryResource {
  const address = tryParseIp(spec.address ?? '');
  const [region = '', zone = '', subzone = ''] = (spec.locality ?? '').split('/');
  return {
    kind: 'WorkloadEntry',
    metadata,
    address,
    // Resolved by whoever dials it.
    hostname: address === null ? (spec.address ?? '') : '',
    ports: spec.ports ?? {},
    // Istio reads both; where they differ the spec is meant.
    labels: { ...metadata.labels, ...spec.labels },
    network: spec.network ?? '',
    locality: { region, zone, subzone },
    // 0 is the default of the API and means an ordinary share.
    weight: Math.max(1, spec.weight ?? 1),
    serviceAccount: spec.serviceAccount || 'default',
  };
}

/** The name of a service account becomes a part of the identity, so nothing else may stand in it. */
function checkWorkloadEntry({ spec }: RawWorkloadEntry): Problem[] {
  const problems = checkAddress(spec.address ?? '', spec.network);
  for (const [name, port] of Object.entries(spec.ports ?? {})) {
    if (port >= 1 && port <= 65_535) continue;
    problems.push(
      errorAt('WEFT_FIELD_INVALID', ['spec', 'ports', name], `${port} is not a port`, 'write a number from 1 to 65535'),
    );
  }
  if (spec.serviceAccount && !new RegExp(SUBDOMAIN).test(spec.serviceAccount)) {
    const message = `"${spec.serviceAccount}" is not the name of a service account`;
    const remedy = 'write the bare name: the identity is built from it and the namespace';
    problems.push(errorAt('WEFT_FIELD_INVALID', ['spec', 'serviceAccount'], message, remedy));
  }
  return problems;
}

/** An entry is reached by address or hostname, or through the gateway of another network. */
function checkAddress(address: string, network: string | undefined): Problem[] {
  const path = ['spec', 'address'];
  if (address === '') {
    const message = 'an entry without an address can only be reached through the gateway of another network';
    return network ? [] : [errorAt('WEFT_FIELD_INVALID', path, message, 'add spec.address')];
  }
  // Istio's sidecars reach sockets in their own pod; nodes cannot.
  if (address.startsWith('unix://')) {
    const message = `"${address}" is a unix socket: those are not reachable through the mesh`;
    return [errorAt('WEFT_FIELD_INVALID', path, message, 'let the process listen on an IP address')];
  }
  // Four dotted numbers are a mistyped address, never a hostname.
  const isHostname = new RegExp(SUBDOMAIN).test(address.toLowerCase()) && !/^[\d.]+$/.test(address);
  if (tryParseIp(address) !== null || isHostname) return [];
  const message = `"${address}" is neither an IP address nor a hostname`;
  return [errorAt('WEFT_FIELD_INVALID', path, message, 'write an IPv4 or IPv6 address without a port, or a hostname')];
}

/** The endpoint that a WorkloadEntry describes. */
function endpointOf(entry: WorkloadEntryResource, options: MeshOptions): Endpoint {
  const { metadata, labels, address } = entry;
  const { name, namespace, annotations } = metadata;
  return {
    uid: flatText(options.clusterId, '/networking.istio.io/WorkloadEntry/', namespace, '/', name),
    kind: 'entry',
    hasConditions: true,
    problems: NO_PROBLEMS,
    name,
    namespace,
    labels,
    serviceAccount: entry.serviceAccount,
    node: '',
    addresses: address === null ? [] : [address],
    hostname: entry.hostname,
    network: entry.network || options.network,
    locality: entry.locality,
    weight: entry.weight,
    hostNetwork: false,
    // Nobody probes it: it is healthy for as long as it is described.
    healthy: true,
    captured: isCaptured(annotations),
    nativeTunnel: hasNativeTunnel(labels),
    workloadName: annotations[ANNOTATION.autoRegistrationGroup] ?? labels[LABEL.workloadName] ?? name,
    namedPorts: entry.ports,
  };
}
