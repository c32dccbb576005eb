import { defineDerivation, type MeshReader } from '#control-plane/index/derivation.ts';
import type { Condition } from '#control-plane/index/index-delta.ts';
import { falseCondition, STATUS, statusOf, trueCondition } from '#control-plane/index/outputs.ts';
import { entry, tableOf } from '#control-plane/index/table.ts';
import { ATTACHED_GRPC_ROUTES, ATTACHED_ROUTES } from '#control-plane/mesh/attachments.ts';
import { waypointNeeds } from '#control-plane/mesh/auto-waypoints.ts';
import { type PolicyTarget, TARGET_READS, targetName, targetPorts, whyNotEnforced } from '#control-plane/mesh/policy-targets.ts';
import { listPorts } from '#control-plane/mesh/route-backends.ts';
import { ATTACHED_TRAFFIC, settingsSpeaker, speakerOf } from '#control-plane/mesh/traffic-policies.ts';
import { type FieldPath, type Problem, warningAt } from '#control-plane/resources/finding.ts';
import { nameOfResource } from '#control-plane/resources/resource.ts';
import { RESOURCE } from '#model/settings/control-planes.ts';
import { limitFor, serverProblem } from './limit-server.ts';
import type { TrafficPolicyResource, TrafficTarget } from './schema.ts';

/** Policies as they were read. */
export const TRAFFIC_POLICIES = tableOf<TrafficPolicyResource>()('traffic-policies');

/** What each policy says of each of its targets. */
export const attachedTraffic = defineDerivation({
  name: 'traffic policy',
  each: TRAFFIC_POLICIES,
  reads: [],
  writes: [ATTACHED_TRAFFIC],
  derive({ key, value: { metadata, targets, rateLimit: written, fault, settings } }, mesh) {
    const { createdAtMs, namespace, name } = metadata;
    const rateLimit = written === null ? null : limitFor(written, mesh.options);
    return targets.map((target, at) => {
      const said = {
        kind: 'TrafficPolicy' as const,
        target: aboutName(target, namespace),
        section: target.section,
        rateLimit,
        fault,
        settings,
      };
      return entry(ATTACHED_TRAFFIC, `TrafficPolicy ${key} ${at}`, { ...said, metadata: { createdAtMs, namespace, name } });
    });
  },
});

/** What it says of a service is not in force until there is a waypoint; what it says of a route, that route needs one for. */
export const trafficNeeds = waypointNeeds(TRAFFIC_POLICIES, ({ targets, metadata: { namespace } }) =>
  targets.flatMap(({ kind, name }) => (kind === 'Service' ? [{ namespace, name, kind: 'route' as const }] : [])),
);

const READS = [...TARGET_READS, ATTACHED_ROUTES, ATTACHED_GRPC_ROUTES, ATTACHED_TRAFFIC] as const;
type StatusMesh = MeshReader<(typeof READS)[number]>;

/** Why a target gets nothing of the policy, or not all of it. */
type Miss = { condition: 'Accepted' | 'Programmed'; reason: string; problem: Problem };

/** What becomes of each policy. */
export const trafficStatus = defineDerivation({
  name: 'traffic policy status',
  each: TRAFFIC_POLICIES,
  reads: [...READS],
  writes: [...STATUS],
  derive({ value: policy }, mesh) {
    const misses = policy.targets.flatMap((target, at) => missesOf(target, ['spec', 'targetRefs', at], policy, mesh));
    const problem = policy.rateLimit === null ? null : serverProblem(policy.rateLimit, mesh);
    // Of the whole policy, whatever its targets: told once.
    if (problem !== null) misses.push({ condition: 'Accepted', reason: 'Invalid', problem });
    return statusOf(
      nameOfResource(policy),
      (['Accepted', 'Programmed'] as const).map((type) => conditionOf(type, policy, misses)),
      misses.map(({ problem }) => problem),
    );
  },
});

/** The first miss names the reason, the message tells all of them. */
function conditionOf(type: Miss['condition'], policy: TrafficPolicyResource, misses: readonly Miss[]): Condition {
  const resource = nameOfResource(policy);
  // What is not accepted is not in force either.
  const told = misses.filter(({ condition }) => type === 'Programmed' || condition === type);
  const [first] = told;
  if (first === undefined) return trueCondition(resource, type, type, type === 'Accepted' ? 'attached' : 'waypoints enforce it');
  const message = told.slice(0, RESOURCE.messagesMax).map(({ problem }) => problem.message);
  return falseCondition(resource, type, first.reason, message.join('; '));
}

function missesOf(target: TrafficTarget, path: FieldPath, policy: TrafficPolicyResource, mesh: StatusMesh): Miss[] {
  const { namespace } = policy.metadata;
  const { kind, name, section } = target;
  const miss =
    kind === 'HTTPRoute' || kind === 'GRPCRoute'
      ? routeMiss({ kind, name, section }, path, namespace, mesh)
      : hostMiss({ kind, name, section }, path, namespace, mesh);
  return [...(miss === null ? [] : [miss]), ...conflicts(target, path, policy, mesh)];
}

type HostTarget = PolicyTarget & Pick<TrafficTarget, 'section'>;

/** What has no waypoint, and is none, has nobody who would do what the policy says. */
function hostMiss(target: HostTarget, path: FieldPath, namespace: string, mesh: StatusMesh): Miss | null {
  const miss = whyNotEnforced(target, namespace, mesh);
  if (miss?.reason === 'TargetNotFound') return notFound(path, miss.message, miss.remedy);
  const ports = targetPorts(target, namespace, mesh);
  if (target.section !== null && !ports.some(({ name }) => name === target.section)) {
    const message = `${targetName(target, namespace)} has no port called ${target.section} (ports: ${listPorts({ ports })})`;
    return notFound([...path, 'sectionName'], message, 'use the name of a port');
  }
  if (miss === null) return null;
  const { reason, message, remedy } = miss;
  return { condition: 'Programmed', reason, problem: warningAt('WEFT_NOT_ENFORCED', path, message, remedy) };
}

type RouteTarget = TrafficTarget & { kind: 'HTTPRoute' | 'GRPCRoute' };

/** A route that is attached to no service is nowhere, whatever its own status says of why. */
function routeMiss({ kind, name, section }: RouteTarget, path: FieldPath, namespace: string, mesh: StatusMesh): Miss | null {
  const table = kind === 'HTTPRoute' ? ATTACHED_ROUTES : ATTACHED_GRPC_ROUTES;
  const [attached] = mesh.valuesBy(table, 'route', `${namespace}/${name}`);
  if (attached === undefined) {
    const message = `${kind} ${namespace}/${name} not found, or attached to no Service`;
    return notFound(path, message, 'correct the name, or see what the status of the route says');
  }
  if (section === null || attached.route.rules.some((rule) => rule.name === section)) return null;
  const message = `${kind} ${namespace}/${name} has no rule called ${section}`;
  return notFound([...path, 'sectionName'], message, 'use the name of a rule');
}

function notFound(path: FieldPath, message: string, remedy: string): Miss {
  return {
    condition: 'Accepted',
    reason: 'TargetNotFound',
    problem: warningAt('WEFT_REFERENCE_UNRESOLVED', path, message, remedy),
  };
}

/** As authors know the blocks. */
const FIELD = { rateLimit: 'rateLimit', fault: 'faultInjection' } as const;

/** Of two policies that say the same of the same, the older one is heard. */
function conflicts(target: TrafficTarget, path: FieldPath, policy: TrafficPolicyResource, mesh: StatusMesh): Miss[] {
  const { namespace, name } = policy.metadata;
  const about = aboutName(target, namespace);
  const traffic = (['rateLimit', 'fault'] as const)
    .filter((block) => policy[block] !== null)
    .map((block) => ({ field: FIELD[block], speaker: speakerOf(mesh, about, target.section, block) }));
  const settings = (['circuitBreaker', 'outlierDetection', 'retryBudget'] as const)
    .filter((block) => policy.settings[block] !== undefined)
    .map((block) => ({ field: block, speaker: settingsSpeaker(mesh, about, target.section, block) }));
  return [...traffic, ...settings].flatMap(({ field, speaker }): Miss[] => {
    const winner = speaker?.metadata ?? policy.metadata;
    if (winner.namespace === namespace && winner.name === name) return [];
    const message = `TrafficPolicy ${winner.namespace}/${winner.name} already says ${field} of ${about}`;
    const problem = warningAt('WEFT_NOT_ENFORCED', path, message, 'merge the two policies, or name different sections');
    return [{ condition: 'Accepted', reason: 'Conflicted', problem }];
  });
}

/** By which policies about one target find one another. */
function aboutName({ kind, name }: TrafficTarget, namespace: string): string {
  return `${kind} ${namespace}/${name}`;
}
