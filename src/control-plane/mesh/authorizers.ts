import type { MeshReader } from '#control-plane/index/derivation.ts';
import { tableOf } from '#control-plane/index/table.ts';
import { HOST_TABLES, namedHost } from '#control-plane/mesh/named-hosts.ts';
import { didYouMean } from '#control-plane/resources/nearest-name.ts';
import type { ExternalAuthorizer } from '#model/waypoint/authorizer.ts';

/** An external authorizer as the mesh configuration says it; where it is has not been looked up. */
export type AuthorizerSpec = Omit<ExternalAuthorizer, 'service'> & {
  readonly host: string;
  /** Null: not said. */
  readonly namespace: string | null;
};

/** By name. */
export const AUTHORIZERS = tableOf<AuthorizerSpec>()('authorizers', { by: { all: () => [''] } });

/** Tables that authorizers are looked up in. */
export const AUTHORIZER_TABLES = [AUTHORIZERS, ...HOST_TABLES] as const;

type AuthorizerMesh = MeshReader<(typeof AUTHORIZER_TABLES)[number]>;

/** Who is asked, or why nobody is and what helps. */
export type FoundAuthorizer =
  | { readonly kind: 'found'; readonly authorizer: ExternalAuthorizer }
  | { readonly kind: 'none'; readonly why: string; readonly remedy: string };

/** The authorizer that policies name so. */
export function authorizerNamed(name: string, mesh: AuthorizerMesh): FoundAuthorizer {
  const { rootNamespace } = mesh.options;
  const spec = mesh.get(AUTHORIZERS, name);
  if (spec === null) {
    const known = mesh.keysBy(AUTHORIZERS, 'all', '');
    const have = known.length === 0 ? 'it has none' : `it has ${known.join(', ')}`;
    const why = `provider "${name}" is not among the extensionProviders of the mesh configuration${didYouMean(name, known)} (${have})`;
    return { kind: 'none', why, remedy: `add it to ConfigMap ${rootNamespace}/istio, or name one that is there` };
  }
  // Its service may come later, or leave: until then nobody is asked.
  const { host, namespace, ...rest } = spec;
  const found = namedHost(host, namespace ?? rootNamespace, mesh);
  const remedy = 'correct service and port of the provider, or create the Service';
  if (found === null || (namespace !== null && found.namespace !== namespace))
    return { kind: 'none', why: `the service ${host} of provider "${name}" is not in the mesh`, remedy };
  if (!found.ports.includes(spec.port)) {
    const why = `the service ${host} of provider "${name}" has no port ${spec.port} (ports: ${found.ports.join(', ')})`;
    return { kind: 'none', why, remedy };
  }
  return { kind: 'found', authorizer: { ...rest, service: found.key } };
}
