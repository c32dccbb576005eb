import { defineKind } from '#control-plane/index/kind-definition.ts';
import { boundStatus } from '#control-plane/resources/cluster-kind.ts';
import { ENFORCED, eachField, type FieldTable } from '#control-plane/resources/field-table.ts';
import type { Metadata } from '#control-plane/resources/metadata.ts';
import { cidrAround, isSingle, tryParseCidr, tryParseIp } from '#model/address/ip.ts';
import { checkServiceEntry } from './check.ts';
import { entryEndpoints, entryHosts, SERVICE_ENTRIES, servedHosts } from './derive.ts';
import type { RawEntryEndpoint, RawServiceEntry, ServiceEntryResource, WrittenEndpoint } from './schema.ts';

/** What becomes of each field of a ServiceEntry. */
const FIELDS: FieldTable = {
  'spec.hosts': ENFORCED,
  'spec.addresses': { is: 'enforced' },
  ...eachField('spec.ports[].', 'name number targetPort protocol'),
  'spec.location': {
    is: 'elsewhere',
    why: 'whether an endpoint is of the mesh is known of each by itself: one that its node captures is reached encrypted',
  },
  'spec.resolution': { is: 'refused', why: 'enforced; refused for DYNAMIC_DNS' },
  ...eachField('spec.endpoints[].', 'address labels locality network ports serviceAccount weight'),
  'spec.workloadSelector.labels': ENFORCED,
  'spec.exportTo': { is: 'refused', why: 'enforced for "." and "*"; told for other namespaces, to which it is then not shown' },
  'spec.subjectAltNames': ENFORCED,
};

/** How a ServiceEntry is read. */
export const serviceEntryKind = defineKind<RawServiceEntry, ServiceEntryResource>({
  kind: 'ServiceEntry',
  group: 'networking.istio.io',
  versions: ['v1', 'v1beta1', 'v1alpha3'],
  namespaced: true,
  schema: { kind: 'crd', file: 'networking.istio.io_serviceentries.yaml' },
  unknownFields: 'error',
  fields: FIELDS,
  check: checkServiceEntry,
  read: readServiceEntry,
  cluster: { status: boundStatus('conditions') },
  resources: SERVICE_ENTRIES,
  derivations: [entryHosts, servedHosts, entryEndpoints],
});

/** Without endpoints, DNS resolves the hosts themselves. */
function readServiceEntry({ spec }: RawServiceEntry, metadata: Metadata): ServiceEntryResource {
  const { resolution = 'NONE', exportTo = [], workloadSelector } = spec;
  const hosts = spec.hosts.map((host) => host.toLowerCase());
  const written = spec.endpoints ?? [];
  const byName = resolution.startsWith('DNS') && written.length === 0 && workloadSelector === undefined;
  const selector = workloadSelector?.labels ?? {};
  // Bits beyond the length of a block count for nothing.
  const blocks = (spec.addresses ?? []).flatMap((text) => {
    const cidr = tryParseCidr(text);
    return (cidr === null ? null : cidrAround(cidr.base, cidr.length)) ?? [];
  });
  return {
    kind: 'ServiceEntry',
    metadata,
    hosts,
    addresses: blocks.filter(isSingle).map(({ base }) => base),
    blocks: blocks.filter((block) => !isSingle(block)),
    ports: spec.ports ?? [],
    resolution,
    endpoints: (byName ? hosts.map((address): RawEntryEndpoint => ({ address })) : written).map(readEndpoint),
    selector: Object.keys(selector).length === 0 ? null : selector,
    subjectAltNames: spec.subjectAltNames ?? [],
    namespaceOnly: exportTo.length > 0 && !exportTo.includes('*'),
  };
}

function readEndpoint(raw: RawEntryEndpoint): WrittenEndpoint {
  const address = tryParseIp(raw.address ?? '');
  const [region = '', zone = '', subzone = ''] = (raw.locality ?? '').split('/');
  return {
    address,
    hostname: address === null ? (raw.address ?? '').toLowerCase() : '',
    ports: raw.ports ?? {},
    labels: raw.labels ?? {},
    network: raw.network ?? '',
    locality: { region, zone, subzone },
    // 0 is the default of the API and means an ordinary share.
    weight: Math.max(1, raw.weight ?? 1),
    serviceAccount: raw.serviceAccount || 'default',
  };
}
