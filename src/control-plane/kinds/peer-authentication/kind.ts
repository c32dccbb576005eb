import { defineKind } from '#control-plane/index/kind-definition.ts';
import { NODE_POLICY_TYPES, refusedFor } from '#control-plane/resources/cluster-kind.ts';
import { eachField } from '#control-plane/resources/field-table.ts';
import { errorAt, type Problem } from '#control-plane/resources/finding.ts';
import { checkSelector, readWorkloadSelector } from '#control-plane/resources/label-selector.ts';
import type { Metadata } from '#control-plane/resources/metadata.ts';
import { readableMetadata, readableSelector, type StandIn, scopeInWords } from '#control-plane/resources/stand-in.ts';
import { namespaceModes, PEER_AUTHENTICATIONS, peerAuthentications } from './derive.ts';
import type { PeerAuthenticationResource, RawPeerAuthentication } from './schema.ts';

/** How a PeerAuthentication is read. */
export const peerAuthenticationKind = defineKind({
  kind: 'PeerAuthentication',
  group: 'security.istio.io',
  versions: ['v1', 'v1beta1'],
  namespaced: true,
  schema: { kind: 'crd', file: 'security.istio.io_peerauthentications.yaml' },
  unknownFields: 'error',
  fields: eachField('spec.', 'mtls.mode portLevelMtls.*.mode selector.matchLabels'),
  check: checkPeerAuthentication,
  read: readPeerAuthentication,
  standIn: standInForPeers,
  cluster: {
    status: { form: 'conditions', types: NODE_POLICY_TYPES, refused: () => refusedFor('Invalid', NODE_POLICY_TYPES) },
  },
  resources: PEER_AUTHENTICATIONS,
  derivations: [namespaceModes, peerAuthentications],
});

/** Ports are sorted, so that two ways to write one policy are one policy. */
function readPeerAuthentication({ spec = {} }: RawPeerAuthentication, metadata: Metadata): PeerAuthenticationResource {
  const ports = Object.entries(spec.portLevelMtls ?? {});
  return {
    kind: 'PeerAuthentication',
    metadata,
    // null is the whole namespace.
    selector: readWorkloadSelector(spec.selector),
    mode: spec.mtls?.mode ?? 'UNSET',
    ports: ports
      .map(([port, { mode }]) => ({ port: Number(port), mode: mode ?? ('UNSET' as const) }))
      .sort((a, b) => a.port - b.port),
  };
}

/** Port rules without a selector would be read by nobody: ports are those of single workloads. */
function checkPeerAuthentication({ spec = {} }: RawPeerAuthentication): Problem[] {
  const problems = checkSelector(spec.selector);
  const path = ['spec', 'portLevelMtls'];
  // The schema knows the keys of this object as texts only.
  for (const port of Object.keys(spec.portLevelMtls ?? {})) {
    if (/^[1-9]\d{0,4}$/.test(port) && Number(port) <= 65_535) continue;
    problems.push(errorAt('WEFT_FIELD_INVALID', [...path, port], `"${port}" is not a port`, 'write a number from 1 to 65535'));
  }
  if (spec.portLevelMtls !== undefined && readWorkloadSelector(spec.selector) === null) {
    const message = 'port rules need a selector, because they refer to the container ports of specific workloads';
    problems.push(errorAt('WEFT_FIELD_CONFLICT', path, message, 'add spec.selector.matchLabels, or set spec.mtls.mode instead'));
  }
  return problems;
}

/** What stands for a PeerAuthentication that cannot be used: the most that any of them can ask, at every port. */
function standInForPeers(document: unknown, name: string): StandIn {
  const metadata = readableMetadata(document, name);
  const selector = readableSelector(document);
  const resource: PeerAuthenticationResource = { kind: 'PeerAuthentication', metadata, selector, mode: 'STRICT', ports: [] };
  return { resource, effect: `plain text is refused by ${scopeInWords(metadata.namespace, selector)}` };
}
