import { defineDerivation, type MeshReader } from '#control-plane/index/derivation.ts';
import type { Condition } from '#control-plane/index/index-delta.ts';
import { falseCondition, STATUS, statusOf, trueCondition } from '#control-plane/index/outputs.ts';
import { entry, tableOf } from '#control-plane/index/table.ts';
import { waypointNeeds } from '#control-plane/mesh/auto-waypoints.ts';
import { ATTACHED_TLS, tlsSpeaker } from '#control-plane/mesh/backend-tls.ts';
import { CA_CERTIFICATES } from '#control-plane/mesh/ca-certificates.ts';
import { servicesOfTargets, TARGET_READS, targetName, targetPorts, whyNotEnforced } from '#control-plane/mesh/policy-targets.ts';
import { listPorts } from '#control-plane/mesh/route-backends.ts';
import { type Problem, warningAt } from '#control-plane/resources/finding.ts';
import { nameOfResource } from '#control-plane/resources/resource.ts';
import { type Resolved, resolvePolicy } from './authorities.ts';
import type { TlsPolicyResource, TlsTarget } from './schema.ts';

/** Policies as they were read. */
export const TLS_POLICIES = tableOf<TlsPolicyResource>()('backend-tls-policies');

/** What each policy says of each of its targets. */
export const attachedTls = defineDerivation({
  name: 'backend TLS policy',
  each: TLS_POLICIES,
  reads: [CA_CERTIFICATES],
  writes: [ATTACHED_TLS],
  derive({ key, value: policy }, mesh) {
    const { createdAtMs, namespace, name } = policy.metadata;
    const { tls } = resolvePolicy(policy, mesh);
    return policy.targets.map((target) => {
      const said = { target: targetName(target, namespace), section: target.section, tls };
      return entry(ATTACHED_TLS, `${key} ${target.at}`, { ...said, metadata: { createdAtMs, namespace, name } });
    });
  },
});

/** Without a waypoint nobody would encrypt: nothing is let past it until there is one. */
export const tlsNeeds = waypointNeeds(TLS_POLICIES, ({ targets, metadata: { namespace } }) =>
  servicesOfTargets(targets, namespace, true),
);

const READS = [...TARGET_READS, ATTACHED_TLS, CA_CERTIFICATES] as const;
type StatusMesh = MeshReader<(typeof READS)[number]>;

/** What becomes of each policy. */
export const tlsStatus = defineDerivation({
  name: 'backend TLS policy status',
  each: TLS_POLICIES,
  reads: [...READS],
  writes: [...STATUS],
  derive({ value: policy }, mesh) {
    const resolved = resolvePolicy(policy, mesh);
    const said = policy.targets.map((target) => statusAt(target, policy, resolved, mesh));
    const { refusal, references } = resolved;
    // Of the whole policy, whatever its targets: told once.
    const ofPolicy = [...references, ...(refusal === null ? [] : [refusal])].map(({ problem }) => problem);
    return statusOf(
      nameOfResource(policy),
      said.flatMap(({ conditions }) => conditions),
      [...ofPolicy, ...said.flatMap(({ problems }) => problems)],
    );
  },
});

type TargetStatus = { conditions: Condition[]; problems: Problem[] };

function statusAt(
  target: TlsTarget,
  policy: TlsPolicyResource,
  { references, refusal }: Resolved,
  mesh: StatusMesh,
): TargetStatus {
  const resource = nameOfResource(policy);
  const parents = [target.at];
  const miss = missOf(target, policy, mesh);
  const rejection = miss?.rejection ?? null;
  const fault = rejection !== null && miss !== null ? { reason: rejection, problem: miss.problem } : refusal;
  const accepted =
    fault === null
      ? trueCondition(resource, 'Accepted', 'Accepted', 'attached')
      : falseCondition(resource, 'Accepted', fault.reason, fault.problem.message);
  const [wrong] = references;
  const found =
    wrong === undefined
      ? trueCondition(resource, 'ResolvedRefs', 'ResolvedRefs', 'all authorities are known')
      : falseCondition(resource, 'ResolvedRefs', wrong.reason, references.map(({ problem }) => problem.message).join('; '));
  return { conditions: [accepted, found].map((one) => ({ ...one, parents })), problems: miss === null ? [] : [miss.problem] };
}

/** Why a target gets nothing of the policy. `rejection`: null where it is right, and waits for a waypoint. */
type Miss = { rejection: string | null; problem: Problem };

/** Without a waypoint of its own a backend may still get what routes of other services lead to it: the policy holds for that. */
function missOf(target: TlsTarget, { metadata }: TlsPolicyResource, mesh: StatusMesh): Miss | null {
  const path = ['spec', 'targetRefs', target.at];
  const about = targetName(target, metadata.namespace);
  const miss = whyNotEnforced(target, metadata.namespace, mesh);
  if (miss?.reason === 'TargetNotFound')
    return { rejection: miss.reason, problem: warningAt('WEFT_REFERENCE_UNRESOLVED', path, miss.message, miss.remedy) };
  const ports = targetPorts(target, metadata.namespace, mesh);
  if (target.section !== null && !ports.some(({ name }) => name === target.section)) {
    const message = `${about} has no port called ${target.section} (ports: ${listPorts({ ports })})`;
    const problem = warningAt('WEFT_REFERENCE_UNRESOLVED', [...path, 'sectionName'], message, 'use the name of a port');
    return { rejection: 'TargetNotFound', problem };
  }
  const speaker = tlsSpeaker(mesh, about, target.section)?.metadata;
  if (speaker !== undefined && speaker.name !== metadata.name) {
    const message = `BackendTLSPolicy ${speaker.namespace}/${speaker.name} already says how ${about} is spoken to`;
    const problem = warningAt('WEFT_NOT_ENFORCED', path, message, 'merge the two policies, or name different ports');
    return { rejection: 'Conflicted', problem };
  }
  return miss === null ? null : { rejection: null, problem: warningAt('WEFT_NOT_ENFORCED', path, miss.message, miss.remedy) };
}
