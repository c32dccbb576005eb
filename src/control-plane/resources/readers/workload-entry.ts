import { errorAt, type Problem } from '#control-plane/resources/finding.ts';
import { defineKind } from '#control-plane/resources/kind-definition.ts';
import type { RawWorkloadEntry, WorkloadEntryResource } from '#control-plane/resources/kinds/workload-entry.ts';
import type { Metadata } from '#control-plane/resources/metadata.ts';
import { SUBDOMAIN } from '#control-plane/resources/schema.ts';
import { tryParseIp } from '#model/address/ip.ts';

/** How a WorkloadEntry is read. */
export const workloadEntryKind = defineKind<RawWorkloadEntry>({
  kind: 'WorkloadEntry',
  group: 'networking.istio.io',
  versions: ['v1', 'v1beta1', 'v1alpha3'],
  namespaced: true,
  schema: { kind: 'crd', file: 'networking.istio.io_workloadentries.yaml' },
  unknownFields: 'error',
  check: checkWorkloadEntry,
  read: readWorkloadEntry,
});

function readWorkloadEntry({ spec }: RawWorkloadEntry, metadata: Metadata): WorkloadEntryResource {
  const address = tryParseIp(spec.address ?? '');
  const [region = '', zone = '', subzone = ''] = (spec.locality ?? '').split('/');
  return {
    kind: 'WorkloadEntry',
    metadata,
    address,
    hostname: address === null ? (spec.address ?? '') : '',
    ports: spec.ports ?? {},
    labels: { ...metadata.labels, ...spec.labels },
    network: spec.network ?? '',
    locality: { region, zone, subzone },
    weight: Math.max(1, spec.weight ?? 1),
    serviceAccount: spec.serviceAccount || 'default',
  };
}

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

function checkAddress(address: string, network: string | undefined): Problem[] {
  const path = ['spec', 'address'];
  if (address === '') {
    const message = 'an entry without an address can only be reached through the gateway of another network';
    return network ? [] : [errorAt('WEFT_FIELD_INVALID', path, message, 'add spec.address')];
  }
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
