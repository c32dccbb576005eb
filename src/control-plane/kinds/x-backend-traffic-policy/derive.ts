import { defineDerivation, type MeshReader } from '#control-plane/index/derivation.ts';
import type { Condition } from '#control-plane/index/index-delta.ts';
import { falseCondition, STATUS, statusOf, trueCondition } from '#control-plane/index/outputs.ts';
import { entry, tableOf } from '#control-plane/index/table.ts';
import { waypointNeeds } from '#control-plane/mesh/auto-waypoints.ts';
import type { BackendTarget } from '#control-plane/mesh/backend-targets.ts';
import { servicesOfTargets, TARGET_READS, targetName, whyNotEnforced } from '#control-plane/mesh/policy-targets.ts';
import { ATTACHED_TRAFFIC, settingsSpeaker } from '#control-plane/mesh/traffic-policies.ts';
import { type FieldPath, type Problem, warningAt } from '#control-plane/resources/finding.ts';
import { nameOfResource } from '#control-plane/resources/resource.ts';
import type { BackendPolicyResource } from './schema.ts';

/** Policies as they were read. */
export const BACKEND_POLICIES = tableOf<BackendPolicyResource>()('backend-policies');

/** What each policy says of each of its targets. */
export const attachedBackendPolicies = defineDerivation({
  name: 'backend policy',
  each: BACKEND_POLICIES,
  reads: [],
  writes: [ATTACHED_TRAFFIC],
  derive({ key, value: { kind, metadata, targets, settings } }) {
    const { createdAtMs, namespace, name } = metadata;
    return targets.map((target) => {
      const said = { kind, target: targetName(target, namespace), section: null, rateLimit: null, fault: null, settings };
      return entry(ATTACHED_TRAFFIC, `${kind} ${key} ${target.at}`, { ...said, metadata: { createdAtMs, namespace, name } });
    });
  },
});

/** It is not in force until there is a waypoint. */
export const backendPolicyNeeds = waypointNeeds(BACKEND_POLICIES, ({ targets, metadata: { namespace } }) =>
  servicesOfTargets(targets, namespace, false),
);

const READS = [...TARGET_READS, ATTACHED_TRAFFIC] as const;
type StatusMesh = MeshReader<(typeof READS)[number]>;

/** What becomes of each policy. */
export const backendPolicyStatus = defineDerivation({
  name: 'backend policy status',
  each: BACKEND_POLICIES,
  reads: [...READS],
  writes: [...STATUS],
  derive({ value: policy }, mesh) {
    const said = policy.targets.map((target) => statusAt(target, policy, mesh));
    return statusOf(
      nameOfResource(policy),
      said.map(({ condition }) => condition),
      said.flatMap(({ problems }) => problems),
    );
  },
});

/** Without a waypoint of its own a backend may still get what routes of other services lead to it: the policy holds for that. */
function statusAt(
  target: BackendTarget,
  policy: BackendPolicyResource,
  mesh: StatusMesh,
): { condition: Condition; problems: Problem[] } {
  const resource = nameOfResource(policy);
  const path = ['spec', 'targetRefs', target.at];
  const parents = [target.at];
  const miss = whyNotEnforced(target, policy.metadata.namespace, mesh);
  if (miss?.reason === 'TargetNotFound') {
    const problem = warningAt('WEFT_REFERENCE_UNRESOLVED', path, miss.message, miss.remedy);
    return { condition: { ...falseCondition(resource, 'Accepted', miss.reason, miss.message), parents }, problems: [problem] };
  }
  const unbound = miss === null ? [] : [warningAt('WEFT_NOT_ENFORCED', path, miss.message, miss.remedy)];
  const [conflict, ...further] = conflicts(target, path, policy, mesh);
  const problems = [...unbound, ...(conflict === undefined ? [] : [conflict, ...further])];
  const condition =
    conflict === undefined
      ? trueCondition(resource, 'Accepted', 'Accepted', 'attached')
      : falseCondition(resource, 'Accepted', 'Conflicted', [conflict, ...further].map(({ message }) => message).join('; '));
  return { condition: { ...condition, parents }, problems };
}

/** As authors know the blocks. */
const FIELD = { retryBudget: 'retryConstraint', session: 'sessionPersistence' } as const;

/** The older one is heard, and a TrafficPolicy before all of them. */
function conflicts(target: BackendTarget, path: FieldPath, policy: BackendPolicyResource, mesh: StatusMesh): Problem[] {
  const { kind, metadata } = policy;
  const about = targetName(target, metadata.namespace);
  return (['retryBudget', 'session'] as const).flatMap((block): Problem[] => {
    const speaker = policy.settings[block] === undefined ? null : settingsSpeaker(mesh, about, null, block);
    if (speaker === null || (speaker.kind === kind && speaker.metadata.name === metadata.name)) return [];
    const other = `${speaker.kind} ${speaker.metadata.namespace}/${speaker.metadata.name}`;
    const message = `${other} already says ${FIELD[block]} of ${about}`;
    return [warningAt('WEFT_NOT_ENFORCED', path, message, 'say it in one of the two')];
  });
}
