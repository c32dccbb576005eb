import { defineDerivation, type MeshReader } from '#control-plane/index/derivation.ts';
import type { Condition } from '#control-plane/index/index-delta.ts';
import type { MeshOptions } from '#control-plane/index/mesh-options.ts';
import { OUTPUT, STATUS, statusOf } from '#control-plane/index/outputs.ts';
import { type Entry, entry, tableOf } from '#control-plane/index/table.ts';
import { ATTACHED_POLICIES } from '#control-plane/mesh/attachments.ts';
import { AUTHORIZER_TABLES, authorizerNamed } from '#control-plane/mesh/authorizers.ts';
import { waypointNeeds } from '#control-plane/mesh/auto-waypoints.ts';
import {
  type MissReason,
  type PolicyTarget,
  servicesOfTargets,
  TARGET_READS,
  targetName,
  whyNotEnforced,
} from '#control-plane/mesh/policy-targets.ts';
import { HTTP_DENIES } from '#control-plane/mesh/waypoint-guards.ts';
import { NODE_POLICIES } from '#control-plane/mesh/workload-policies.ts';
import { type Problem, warningAt } from '#control-plane/resources/finding.ts';
import { nameOfResource, type ResourceName } from '#control-plane/resources/resource.ts';
import type { Authorization } from '#model/mesh/authorization.ts';
import { RESOURCE } from '#model/settings/control-planes.ts';
import { convertToL4 } from './derive-l4.ts';
import { convertToL7, type L7Conversion } from './derive-l7.ts';
import type { AuthorizationPolicyResource } from './schema.ts';

/** Policies as they were read. */
export const AUTHORIZATION_POLICIES = tableOf<AuthorizationPolicyResource>()('authorization-policies');

type PolicyMesh = MeshReader<(typeof TARGET_READS)[number] | (typeof AUTHORIZER_TABLES)[number]>;

const NODE_WRITES = [OUTPUT.policies, NODE_POLICIES, HTTP_DENIES, ...STATUS] as const;
type Said = Entry<(typeof NODE_WRITES)[number]>[];

/** Each policy without targets as nodes enforce it. */
export const nodePolicies = defineDerivation({
  name: 'node policy',
  each: AUTHORIZATION_POLICIES,
  reads: [],
  writes: [...NODE_WRITES],
  derive: ({ key, value }, mesh) => (value.targets.length > 0 ? [] : forNodes(key, value, mesh.options)),
});

/** Each policy with targets as waypoints enforce it, wherever it is attached; nodes never see it. */
export const attachedPolicies = defineDerivation({
  name: 'attached policy',
  each: AUTHORIZATION_POLICIES,
  reads: [],
  writes: [ATTACHED_POLICIES],
  derive({ key, value: { targets, metadata }, value }) {
    if (targets.length === 0) return [];
    const { policy } = convertToL7(value);
    const names = targets.map((target) => targetName(target, metadata.namespace));
    return policy === null ? [] : [entry(ATTACHED_POLICIES, key, { policy, targets: names })];
  },
});

/** A trial refuses nobody, and an audit does not either. */
export const policyNeeds = waypointNeeds(AUTHORIZATION_POLICIES, ({ targets, metadata: { namespace }, dryRun, action }) =>
  servicesOfTargets(targets, namespace, !dryRun && action !== 'AUDIT'),
);

/** What becomes of policies with targets; apart, because services ask whether they have any. */
export const attachedPolicyStatus = defineDerivation({
  name: 'attached policy status',
  each: AUTHORIZATION_POLICIES,
  reads: [...TARGET_READS, ...AUTHORIZER_TABLES],
  writes: [...STATUS],
  derive: ({ value }, mesh) => (value.targets.length > 0 ? statusAtWaypoints(value, mesh) : []),
});

/** What nodes enforce. Only a policy with a selector is attached to single workloads; the others have a scope of their own. */
function forNodes(key: string, policy: AuthorizationPolicyResource, options: MeshOptions): Said {
  const { authorization, problems, condition, httpRules } = convertToL4(policy, options);
  const resource = nameOfResource(policy);
  // Istio's tools look for the first name; the second says who it really was.
  const types = ['ZtunnelAccepted', 'weft.dev/NodeProxyAccepted'];
  const status = statusOf(
    resource,
    types.map((type) => ({ resource, type, ...condition })),
    problems,
  );
  if (authorization === null) return status;
  const { namespace } = policy.metadata;
  const atWaypoints = httpRules.length === 0 ? null : convertToL7(policy).policy;
  if (atWaypoints !== null) {
    // Attached to each workload by itself: for some of them there are waypoints that check it in full.
    const listed: Authorization = { ...authorization, scope: 'workload-selector' };
    const deny = { namespace, selector: policy.selector, authorization: listed, httpRules, policy: atWaypoints };
    return [entry(OUTPUT.policies, key, listed), entry(HTTP_DENIES, key, deny), ...status];
  }
  const selecting =
    policy.selector === null ? [] : [entry(NODE_POLICIES, key, { namespace, labels: policy.selector, policy: key })];
  return [entry(OUTPUT.policies, key, authorization), ...selecting, ...status];
}

/** Targets that nobody serves are told. */
function statusAtWaypoints(resource: AuthorizationPolicyResource, mesh: PolicyMesh): Entry<(typeof STATUS)[number]>[] {
  const converted = convertToL7(resource);
  const conversion = { ...converted, problems: [...converted.problems, ...unknownProvider(resource, mesh)] };
  const misses = resource.targets.flatMap((target, at) => missOf(target, at, resource, mesh) ?? []);
  const name = nameOfResource(resource);
  const problems = [...conversion.problems, ...misses.map(({ problem }) => problem)];
  return statusOf(name, [waypointAccepted(name, conversion, misses)], problems);
}

/** Who is not known decides nothing: what would have been asked of it is denied. */
function unknownProvider({ action, provider, dryRun }: AuthorizationPolicyResource, mesh: PolicyMesh): Problem[] {
  if (action !== 'CUSTOM') return [];
  const found = authorizerNamed(provider, mesh);
  if (found.kind === 'found') return [];
  const effect = dryRun ? 'until then the trial tells of denials' : 'until then every request that the rules match gets 403';
  return [warningAt('WEFT_REFERENCE_UNRESOLVED', ['spec', 'provider', 'name'], `${found.why}; ${effect}`, found.remedy)];
}

/** Why no waypoint enforces the policy for one of its targets. */
type Miss = { reason: MissReason; problem: Problem };

/** Why nobody enforces the policy for a target, with the place of the target; null when somebody does. */
function missOf(target: PolicyTarget, at: number, policy: AuthorizationPolicyResource, mesh: PolicyMesh): Miss | null {
  const miss = whyNotEnforced(target, policy.metadata.namespace, mesh);
  if (miss === null) return null;
  const path = ['spec', 'targetRefs', at];
  const code = miss.reason === 'TargetNotFound' ? 'WEFT_REFERENCE_UNRESOLVED' : 'WEFT_NOT_ENFORCED';
  return { reason: miss.reason, problem: warningAt(code, path, miss.message, miss.remedy) };
}

/** One condition for all targets: the first miss decides its reason, the message names everything. */
function waypointAccepted(resource: ResourceName, { policy, problems }: L7Conversion, misses: readonly Miss[]): Condition {
  const [miss] = misses;
  const messages = [...problems, ...misses.map(({ problem }) => problem)].map(({ message }) => message);
  const message = messages.slice(0, RESOURCE.messagesMax).join('; ') || 'enforced by the waypoints';
  const base = { resource, type: 'WaypointAccepted', message };
  // Refused as a whole, which no target can mend.
  if (policy === null) return { ...base, status: 'False', reason: 'Invalid' };
  if (miss !== undefined) return { ...base, status: 'False', reason: miss.reason };
  return { ...base, status: 'True', reason: problems.length > 0 ? 'PartiallyInvalid' : 'Accepted' };
}
