import { defineDerivation } from '#control-plane/index/derivation.ts';
import { OUTPUT, STATUS, statusOf } from '#control-plane/index/outputs.ts';
import { entry, tableOf } from '#control-plane/index/table.ts';
import {
  type EffectiveMode,
  inheritedMode,
  NAMESPACE_MODES,
  type NamespaceMode,
  SELECTED_PEERS,
  staticStrictKey,
} from '#control-plane/mesh/workload-policies.ts';
import { type Problem, warningAt } from '#control-plane/resources/finding.ts';
import { nameOfResource } from '#control-plane/resources/resource.ts';
import { type Authorization, convertedName, EMPTY_MATCH, type Match, type PolicyKey } from '#model/mesh/authorization.ts';
import type { MutualTlsMode, PeerAuthenticationResource } from './schema.ts';

/** Policies as they were read. */
export const PEER_AUTHENTICATIONS = tableOf<PeerAuthenticationResource>()('peer-authentications');

/** What the policies without a selector say for their namespaces; the oldest of a namespace counts. */
export const namespaceModes = defineDerivation({
  name: 'namespace mode',
  each: PEER_AUTHENTICATIONS,
  reads: [],
  writes: [NAMESPACE_MODES],
  derive({ key, value: { selector, mode, metadata } }) {
    // With a selector it speaks for single workloads, not for the namespace.
    if (selector !== null) return [];
    const said: NamespaceMode = { mode: mode === 'UNSET' ? null : resolveMode(mode, 'PERMISSIVE'), name: key };
    return [entry(NAMESPACE_MODES, metadata.namespace, said, metadata.createdAtMs ?? 0)];
  },
});

/** The L4 policies that stand for a PeerAuthentication, and the workloads that one with a selector speaks for. */
export const peerAuthentications = defineDerivation({
  name: 'peer authentication',
  each: PEER_AUTHENTICATIONS,
  reads: [NAMESPACE_MODES],
  writes: [OUTPUT.policies, SELECTED_PEERS, ...STATUS],
  derive({ key, value: policy }, mesh) {
    const { rootNamespace } = mesh.options;
    const { createdAtMs, namespace, name } = policy.metadata;
    const strict = staticStrictKey(rootNamespace);
    const winner = policy.selector === null ? mesh.get(NAMESPACE_MODES, namespace) : null;
    const said = [
      // Every one of them says so: the static policy is there for as long as there is any.
      entry(OUTPUT.policies, strict.key, denyPolicy(rootNamespace, strict.name, [[UNAUTHENTICATED]])),
      ...statusOf(nameOfResource(policy), [], problemsOf(policy, winner, rootNamespace)),
    ];
    // In the root namespace a selector would reach beyond its own workloads; ambient meshes skip such policies.
    if (policy.selector === null || namespace === rootNamespace) return said;
    const inherited = inheritedMode(mesh, namespace);
    const converted = convertPeerAuthentication(policy, inherited);
    const convertedKey: PolicyKey = `${namespace}/${convertedName(name)}`;
    const mode = resolveMode(policy.mode, inherited);
    const plain = mode === 'STRICT' ? strict.key : null;
    const metadata = { createdAtMs, namespace, name };
    const effect = { namespace, labels: policy.selector, metadata, policy: converted === null ? plain : convertedKey };
    return [
      ...said,
      entry(SELECTED_PEERS, key, effect),
      ...(converted === null ? [] : [entry(OUTPUT.policies, convertedKey, converted)]),
    ];
  },
});

/** `winner`: what counts for the whole namespace, where this policy wants to speak for it. */
function problemsOf(
  { selector, metadata }: PeerAuthenticationResource,
  winner: NamespaceMode | null,
  rootNamespace: string,
): Problem[] {
  if (selector !== null) {
    if (metadata.namespace !== rootNamespace) return [];
    const message = `a PeerAuthentication with a selector has no effect in the root namespace ${rootNamespace}`;
    const remedy = 'move it to the namespace of its workloads, or remove the selector';
    return [warningAt('WEFT_NOT_ENFORCED', ['spec', 'selector'], message, remedy)];
  }
  if (winner === null || winner.name === `${metadata.namespace}/${metadata.name}`) return [];
  const message = `ignored: PeerAuthentication ${winner.name} already speaks for the whole namespace`;
  return [warningAt('WEFT_LIKELY_MISTAKE', ['spec'], message, 'merge the two, or add a selector')];
}

/** No authenticated peer: the identity is absent. */
const UNAUTHENTICATED: Match = { ...EMPTY_MATCH, notPrincipals: [{ kind: 'presence' }] };

/**
 * The L4 policy that stands for a selector policy with ports of their own; null when every port agrees with
 * the mode, so that the static policy (or none) says it all.
 */
function convertPeerAuthentication(policy: PeerAuthenticationResource, inherited: EffectiveMode): Authorization | null {
  if (policy.selector === null) return null;
  const mode = resolveMode(policy.mode, inherited);
  const different = policy.ports.filter((port) => resolveMode(port.mode, mode) !== mode).map(({ port }) => port);
  if (different.length === 0) return null;
  const { namespace, name } = policy.metadata;
  if (mode === 'STRICT') {
    // One rule, ANDed: unauthenticated, and to none of the exempt ports.
    const exempt = different.map((port): Match => ({ ...EMPTY_MATCH, notDestinationPorts: [port] }));
    return denyPolicy(namespace, convertedName(name), [[UNAUTHENTICATED, ...exempt]]);
  }
  const strict = different.map((port): Match[] => [{ ...UNAUTHENTICATED, destinationPorts: [port] }]);
  return denyPolicy(namespace, convertedName(name), strict);
}

/** DISABLE still takes tunnels from peers, so to the mesh it is PERMISSIVE. */
function resolveMode(mode: MutualTlsMode, inherited: EffectiveMode): EffectiveMode {
  if (mode === 'UNSET') return inherited;
  return mode === 'STRICT' ? 'STRICT' : 'PERMISSIVE';
}

/** Each rule is a list of matches that must all hold. */
function denyPolicy(namespace: string, name: string, rules: readonly (readonly Match[])[]): Authorization {
  return {
    name,
    namespace,
    scope: 'workload-selector',
    action: 'deny',
    rules: rules.map((matches) => ({ clauses: matches.map((match) => ({ matches: [match] })) })),
    dryRun: false,
  };
}
