import { defineKind } from '#control-plane/index/kind-definition.ts';
import { BACKEND_STATUS, isBackendTarget, readableTargets } from '#control-plane/mesh/backend-targets.ts';
import type { ObjectReference } from '#control-plane/resources/cluster-kind.ts';
import { ENFORCED, eachField, type FieldTable } from '#control-plane/resources/field-table.ts';
import type { Metadata } from '#control-plane/resources/metadata.ts';
import { fieldOf, readableMetadata, type StandIn } from '#control-plane/resources/stand-in.ts';
import { checkTlsPolicy } from './check.ts';
import { attachedTls, TLS_POLICIES, tlsNeeds, tlsStatus } from './derive.ts';
import type { Authorities, RawTlsPolicy, TlsPolicyResource, TlsTarget } from './schema.ts';

/** What becomes of each field of a BackendTLSPolicy. */
const FIELDS: FieldTable = {
  ...eachField('spec.targetRefs[].', 'group kind name sectionName'),
  'spec.validation.hostname': ENFORCED,
  ...eachField('spec.validation.subjectAltNames[].', 'type hostname uri'),
  ...eachField('spec.validation.caCertificateRefs[].', 'group kind name', {
    is: 'refused',
    why: 'enforced for ConfigMaps; told, and nothing is sent, where none of them holds certificates',
  }),
  'spec.validation.wellKnownCACertificates': {
    is: 'refused',
    why: 'System is enforced, with the authorities of the machine that a waypoint runs on; any other is told, and nothing is sent',
  },
  'spec.options': { is: 'ignored', why: 'TLS outside of the mesh has no options here', remedy: 'remove options' },
};

/** How a BackendTLSPolicy of the Gateway API is read: what waypoints send to its backends outside of the mesh goes in TLS. */
export const backendTlsPolicyKind = defineKind<RawTlsPolicy, TlsPolicyResource>({
  kind: 'BackendTLSPolicy',
  group: 'gateway.networking.k8s.io',
  versions: ['v1'],
  namespaced: true,
  schema: { kind: 'crd', file: 'gateway.networking.k8s.io_backendtlspolicies.yaml' },
  unknownFields: 'error',
  cluster: { status: BACKEND_STATUS, refersTo },
  fields: FIELDS,
  check: checkTlsPolicy,
  read: readTlsPolicy,
  standIn: standInForTlsPolicy,
  resources: TLS_POLICIES,
  derivations: [tlsNeeds, attachedTls, tlsStatus],
});

/** Targets of others are theirs to speak of. */
function readTlsPolicy({ spec: { targetRefs, validation } }: RawTlsPolicy, metadata: Metadata): TlsPolicyResource {
  const { hostname, subjectAltNames = [] } = validation;
  return {
    kind: 'BackendTLSPolicy',
    metadata,
    targets: targetRefs.flatMap(({ kind, group, name, sectionName = null }, at): TlsTarget[] =>
      isBackendTarget(kind, group) ? [{ kind, name, at, section: sectionName }] : [],
    ),
    hostname,
    // With names of their own the host is only asked for.
    names:
      subjectAltNames.length === 0
        ? [{ kind: 'dns', value: hostname }]
        : subjectAltNames.map(({ type, hostname: host = '', uri = '' }) =>
            type === 'URI' ? { kind: 'uri', value: uri } : { kind: 'dns', value: host },
          ),
    authorities: readAuthorities(validation),
  };
}

function readAuthorities({ caCertificateRefs = [], wellKnownCACertificates }: RawTlsPolicy['spec']['validation']): Authorities {
  if (wellKnownCACertificates === 'System') return { kind: 'system' };
  if (wellKnownCACertificates !== undefined)
    return { kind: 'unknown', why: `wellKnownCACertificates ${wellKnownCACertificates} is not known here` };
  return {
    kind: 'maps',
    names: caCertificateRefs.map(({ group, kind, name }) => (group === '' && kind === 'ConfigMap' ? name : null)),
  };
}

/** What stands for a policy that cannot be used: nothing is sent to its targets, for it must not go in clear. */
function standInForTlsPolicy(document: unknown, name: string): StandIn | null {
  const targets = readableTargets(fieldOf(document, 'spec'));
  if (targets.length === 0) return null;
  const metadata = readableMetadata(document, name);
  const resource: TlsPolicyResource = {
    kind: 'BackendTLSPolicy',
    metadata,
    targets,
    hostname: '',
    names: [],
    authorities: { kind: 'unknown', why: `BackendTLSPolicy ${metadata.namespace}/${name} cannot be used` },
  };
  const where = targets.map((target) => `${target.kind} ${metadata.namespace}/${target.name}`).join(', ');
  return { resource, effect: `nothing is sent to ${where} by waypoints` };
}

/** The ConfigMaps of a policy that was not checked yet. */
function refersTo({ metadata, spec }: Readonly<Record<string, unknown>>): ObjectReference[] {
  const namespace = fieldOf(metadata, 'namespace');
  const refs = fieldOf(fieldOf(spec, 'validation'), 'caCertificateRefs');
  if (typeof namespace !== 'string' || !Array.isArray(refs)) return [];
  return refs.flatMap((ref: unknown) => {
    const [group, kind, name] = [fieldOf(ref, 'group'), fieldOf(ref, 'kind'), fieldOf(ref, 'name')];
    return group === '' && kind === 'ConfigMap' && typeof name === 'string' ? [{ kind, namespace, name }] : [];
  });
}
