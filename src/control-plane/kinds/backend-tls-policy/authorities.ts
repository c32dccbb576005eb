import type { MeshReader } from '#control-plane/index/derivation.ts';
import { CA_CERTIFICATES, CA_KEY } from '#control-plane/mesh/ca-certificates.ts';
import { type FieldPath, type Problem, warningAt } from '#control-plane/resources/finding.ts';
import type { UpstreamTls } from '#model/waypoint/upstream-tls.ts';
import type { TlsPolicyResource } from './schema.ts';

/** Why a condition is false. */
type Fault = { reason: string; problem: Problem };

/** What a policy comes to, with what is wrong with those whom it believes. */
export type Resolved = {
  tls: UpstreamTls;
  /** Of references: of them the others may be right. */
  references: readonly Fault[];
  /** Of all: nothing is sent. */
  refusal: Fault | null;
};

type AuthorityMesh = MeshReader<typeof CA_CERTIFICATES>;

const VALIDATION: FieldPath = ['spec', 'validation'];

/** Looks up whom a policy believes. Those of its references that are right are believed; without any, nothing is sent. */
export function resolvePolicy(policy: TlsPolicyResource, mesh: AuthorityMesh): Resolved {
  const { authorities } = policy;
  switch (authorities.kind) {
    case 'system':
      return { tls: originate(policy, null), references: [], refusal: null };
    case 'unknown': {
      const path = [...VALIDATION, 'wellKnownCACertificates'];
      const problem = warningAt('WEFT_NOT_ENFORCED', path, `${authorities.why}: nothing is sent`, 'write System');
      return { tls: { kind: 'refused', why: authorities.why }, references: [], refusal: { reason: 'Invalid', problem } };
    }
    case 'maps':
      return ofMaps(policy, authorities.names, mesh);
    default:
      return authorities satisfies never;
  }
}

function ofMaps(policy: TlsPolicyResource, names: readonly (string | null)[], mesh: AuthorityMesh): Resolved {
  const found = names.map((name, at) => lookUp(name, at, policy.metadata.namespace, mesh));
  const roots = found.flatMap((one) => (typeof one === 'string' ? one : []));
  const references = found.flatMap((one) => (typeof one === 'string' ? [] : one));
  if (roots.length > 0) return { tls: originate(policy, roots.join('')), references, refusal: null };
  const why = references.map(({ problem }) => problem.message).join('; ');
  const problem = warningAt('WEFT_NOT_ENFORCED', VALIDATION, `nothing is sent without TLS: ${why}`, 'correct caCertificateRefs');
  return { tls: { kind: 'refused', why }, references, refusal: { reason: 'NoValidCACertificate', problem } };
}

/** The certificates in PEM, or why there are none. */
function lookUp(name: string | null, at: number, namespace: string, mesh: AuthorityMesh): string | Fault {
  const path = [...VALIDATION, 'caCertificateRefs', at];
  if (name === null) {
    const message = 'authorities are read from ConfigMaps alone';
    return { reason: 'InvalidKind', problem: warningAt('WEFT_NOT_ENFORCED', path, message, 'name a ConfigMap, with group ""') };
  }
  const key = `${namespace}/${name}`;
  const found = mesh.get(CA_CERTIFICATES, key);
  if (found?.kind === 'usable') return found.pem;
  const message = found === null ? `there is no ConfigMap ${key} with ${CA_KEY}` : `ConfigMap ${key}: ${found.why}`;
  const remedy = `create the ConfigMap with certificates in PEM in ${CA_KEY}, or correct the name`;
  return { reason: 'InvalidCACertificateRef', problem: warningAt('WEFT_REFERENCE_UNRESOLVED', path, message, remedy) };
}

function originate({ hostname, names }: TlsPolicyResource, roots: string | null): UpstreamTls {
  return { kind: 'originate', serverName: hostname, names, roots };
}
