import type { IndexState } from '#control-plane/index/index-state.ts';
import { namespaceOf } from '#control-plane/index/mesh-inputs.ts';
import {
  convertedPolicyKey,
  convertPeerAuthentication,
  inheritedMode,
  oldest,
  staticStrictKey,
  staticStrictPolicy,
} from '#control-plane/index/peer-authentication.ts';
import { type Problem, warningAt } from '#control-plane/resources/finding.ts';
import type { PeerAuthenticationResource } from '#control-plane/resources/kinds/peer-authentication.ts';
import { nameOf, nameOfResource } from '#control-plane/resources/resource.ts';

/** Derives the L4 policy that stands for one PeerAuthentication, if it needs one of its own. */
export function derivePeerAuthentication(key: string, state: IndexState): void {
  const { inputs, outputs, options } = state;
  const { rootNamespace } = options;
  const namespace = namespaceOf(key);
  const policy = inputs.peers.get(key);
  outputs.policies.set(staticStrictKey(rootNamespace), inputs.peers.size > 0 ? staticStrictPolicy(rootNamespace) : null);
  if (policy === null) {
    outputs.policies.set(convertedPolicyKey(key), null);
    outputs.setStatus(nameOf({ kind: 'PeerAuthentication', namespace, name: key.slice(namespace.length + 1) }), [], []);
    return;
  }
  const own = inputs.peers.valuesIn(namespace);
  const inherited = inheritedMode(own, inputs.peers.valuesIn(rootNamespace));
  const converted = namespace === rootNamespace ? null : convertPeerAuthentication(policy, inherited);
  outputs.policies.set(convertedPolicyKey(key), converted);
  outputs.setStatus(nameOfResource(policy), [], problemsOf(policy, own, rootNamespace));
}

function problemsOf(
  policy: PeerAuthenticationResource,
  own: readonly PeerAuthenticationResource[],
  rootNamespace: string,
): Problem[] {
  if (policy.selector !== null) {
    if (policy.metadata.namespace !== rootNamespace) return [];
    const message = `a PeerAuthentication with a selector has no effect in the root namespace ${rootNamespace}`;
    return [
      warningAt(
        'WEFT_NOT_ENFORCED',
        ['spec', 'selector'],
        message,
        'move it to the namespace of its workloads, or remove the selector',
      ),
    ];
  }
  const winner = oldest(own.filter(({ selector }) => selector === null));
  if (winner === null || winner === policy) return [];
  const message = `ignored: PeerAuthentication ${nameOfResource(winner).split(' ')[1]} already speaks for the whole namespace`;
  return [warningAt('WEFT_LIKELY_MISTAKE', ['spec'], message, 'merge the two, or add a selector')];
}
