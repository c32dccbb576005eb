import { defineDerivation } from '#control-plane/index/derivation.ts';
import { falseCondition, STATUS, statusOf, trueCondition } from '#control-plane/index/outputs.ts';
import { entry, tableOf } from '#control-plane/index/table.ts';
import { ATTACHED_AUTHENTICATIONS } from '#control-plane/mesh/attachments.ts';
import { waypointNeeds } from '#control-plane/mesh/auto-waypoints.ts';
import { servicesOfTargets, TARGET_READS, targetName, whyNotEnforced } from '#control-plane/mesh/policy-targets.ts';
import { warningAt } from '#control-plane/resources/finding.ts';
import { nameOfResource } from '#control-plane/resources/resource.ts';
import type { RequestAuthenticationResource } from './schema.ts';

/** Policies as they were read. */
export const REQUEST_AUTHENTICATIONS = tableOf<RequestAuthenticationResource>()('request-authentications');

/** Each policy as waypoints enforce it. */
export const attachedAuthentications = defineDerivation({
  name: 'request authentication',
  each: REQUEST_AUTHENTICATIONS,
  reads: [],
  writes: [ATTACHED_AUTHENTICATIONS],
  derive({ key, value: { metadata, targets, rules } }) {
    if (targets.length === 0) return [];
    const names = targets.map((target) => targetName(target, metadata.namespace));
    return [entry(ATTACHED_AUTHENTICATIONS, key, { rules, targets: names })];
  },
});

/** A request without a token that it needs is refused. */
export const authenticationNeeds = waypointNeeds(REQUEST_AUTHENTICATIONS, ({ targets, metadata: { namespace } }) =>
  servicesOfTargets(targets, namespace, true),
);

/** What becomes of each policy; apart, because services ask whether they have any. */
export const authenticationStatus = defineDerivation({
  name: 'request authentication status',
  each: REQUEST_AUTHENTICATIONS,
  reads: [...TARGET_READS],
  writes: [...STATUS],
  derive({ value: policy }, mesh) {
    const resource = nameOfResource(policy);
    const misses = policy.targets.flatMap((target, at) => {
      const miss = whyNotEnforced(target, policy.metadata.namespace, mesh);
      return miss === null ? [] : [{ ...miss, at }];
    });
    const [first] = misses;
    const type = 'WaypointAccepted';
    const condition =
      first === undefined
        ? trueCondition(resource, type, 'Accepted', 'enforced by the waypoints')
        : falseCondition(resource, type, first.reason, misses.map(({ message }) => message).join('; '));
    const problems = misses.map(({ reason, message, remedy, at }) =>
      warningAt(
        reason === 'TargetNotFound' ? 'WEFT_REFERENCE_UNRESOLVED' : 'WEFT_NOT_ENFORCED',
        ['spec', 'targetRefs', at],
        message,
        remedy,
      ),
    );
    return statusOf(resource, policy.targets.length === 0 ? [] : [condition], problems);
  },
});
