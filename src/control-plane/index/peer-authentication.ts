import type { MutualTlsMode, PeerAuthenticationResource } from '#control-plane/resources/kinds/peer-authentication.ts';
import { labelsMatch } from '#control-plane/resources/label-selector.ts';
import { byAge, type Labels } from '#control-plane/resources/metadata.ts';
import { type Authorization, EMPTY_MATCH, type Match, type PolicyKey } from '#model/mesh/authorization.ts';

/** A mode with nothing left to inherit. */
export type EffectiveMode = 'PERMISSIVE' | 'STRICT';

const STATIC_STRICT = 'istio_converted_static_strict';

/** No authenticated peer: the identity is absent. */
const UNAUTHENTICATED: Match = { ...EMPTY_MATCH, notPrincipals: [{ kind: 'presence' }] };

/** Key of the policy that stands for STRICT at every port. */
export function staticStrictKey(rootNamespace: string): PolicyKey {
  return `${rootNamespace}/${STATIC_STRICT}`;
}

/** Refuses every unauthenticated peer of the workloads it is attached to. */
export function staticStrictPolicy(rootNamespace: string): Authorization {
  return denyPolicy(rootNamespace, STATIC_STRICT, [[UNAUTHENTICATED]]);
}

/** Key of the converted policy of a PeerAuthentication (`<namespace>/<name>`). */
export function convertedPolicyKey(key: string): PolicyKey {
  const slash = key.indexOf('/');
  return `${key.slice(0, slash)}/${convertedName(key.slice(slash + 1))}`;
}

function convertedName(name: string): string {
  return `converted_peer_authentication_${name}`;
}

/**
 * The mode that a namespace gives its workloads: its own policy without selector, else the root namespace's,
 * else PERMISSIVE. On each level the oldest policy counts; UNSET inherits.
 */
export function inheritedMode(
  own: readonly PeerAuthenticationResource[],
  root: readonly PeerAuthenticationResource[],
): EffectiveMode {
  const modes = [own, root].map((level) => oldest(level.filter(({ selector }) => selector === null))?.mode ?? 'UNSET');
  return resolveMode(modes.find((mode) => mode !== 'UNSET') ?? 'UNSET', 'PERMISSIVE');
}

/** The policy with a selector that counts for these labels; null when none selects them. */
export function selectedPolicy(
  policies: readonly PeerAuthenticationResource[],
  labels: Labels,
): PeerAuthenticationResource | null {
  return oldest(policies.filter(({ selector }) => selector !== null && labelsMatch(selector, labels)));
}

/**
 * The L4 policy that stands for a selector policy with ports of their own; null when every port agrees with
 * the mode, so that the static policy (or none) says it all.
 */
export function convertPeerAuthentication(policy: PeerAuthenticationResource, inherited: EffectiveMode): Authorization | null {
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

/** Key of the policy that enforces PeerAuthentication at a workload; null when plain text is welcome at every port. */
export function peerPolicyKey(
  selected: PeerAuthenticationResource | null,
  inherited: EffectiveMode,
  rootNamespace: string,
): PolicyKey | null {
  if (selected !== null && convertPeerAuthentication(selected, inherited) !== null)
    return convertedPolicyKey(`${selected.metadata.namespace}/${selected.metadata.name}`);
  const mode = resolveMode(selected?.mode ?? 'UNSET', inherited);
  return mode === 'STRICT' ? staticStrictKey(rootNamespace) : null;
}

function resolveMode(mode: MutualTlsMode, inherited: EffectiveMode): EffectiveMode {
  if (mode === 'UNSET') return inherited;
  return mode === 'STRICT' ? 'STRICT' : 'PERMISSIVE';
}

/** The policy that counts among several of one level; null when there are none. */
export function oldest(policies: readonly PeerAuthenticationResource[]): PeerAuthenticationResource | null {
  return [...policies].sort(byAge)[0] ?? null;
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
