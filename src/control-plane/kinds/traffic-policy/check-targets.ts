import { type Attachment, checkAttachment } from '#control-plane/resources/attachment.ts';
import { errorAt, type Problem } from '#control-plane/resources/finding.ts';
import { didYouMean } from '#control-plane/resources/nearest-name.ts';
import { type RawTrafficPolicy, TARGET_KINDS, type TrafficTarget } from './schema.ts';

type Spec = RawTrafficPolicy['spec'];
type Block = Exclude<keyof Spec, 'targetRefs'>;

/** What a policy is about, and that its blocks mean something there. */
export function checkTargets(spec: Spec): Problem[] {
  return [...spec.targetRefs.flatMap((target, at) => checkTarget(target, at)), ...checkBlocks(spec)];
}

const GATEWAY_API = ['gateway.networking.k8s.io'];

const ABOUT: Attachment = {
  what: 'TrafficPolicy',
  groups: {
    Service: [''],
    ServiceEntry: ['networking.istio.io'],
    HTTPRoute: GATEWAY_API,
    GRPCRoute: GATEWAY_API,
    Gateway: GATEWAY_API,
  } satisfies Record<TrafficTarget['kind'], string[]>,
  refused: (kind) => `a TrafficPolicy cannot be about a ${kind}${didYouMean(kind, [...TARGET_KINDS])}`,
  remedy: `use one of ${TARGET_KINDS.join(', ')}`,
};

function checkTarget(target: Spec['targetRefs'][number], at: number): Problem[] {
  const path = ['spec', 'targetRefs', at];
  const problems = checkAttachment(target, null, path, ABOUT);
  if (target.kind === 'Gateway' && target.sectionName !== undefined) {
    const message = 'a waypoint has no sections: what is said of it is said of all that goes through it';
    problems.push(errorAt('WEFT_FIELD_CONFLICT', [...path, 'sectionName'], message, 'remove sectionName'));
  }
  return problems;
}

/** Of kinds that have not all that the blocks are about (config-api 6.3): a route has no endpoints, a waypoint has those of everybody. */
const LACKING: Readonly<Record<string, readonly Block[]>> = {
  HTTPRoute: ['circuitBreaker', 'outlierDetection', 'retryBudget'],
  GRPCRoute: ['circuitBreaker', 'outlierDetection', 'retryBudget'],
  Gateway: ['faultInjection', 'circuitBreaker', 'outlierDetection', 'retryBudget'],
};

function checkBlocks(spec: Spec): Problem[] {
  // Told once of each block, whatever number of targets it does not fit.
  const lacked = new Map(spec.targetRefs.flatMap(({ kind }) => (LACKING[kind] ?? []).map((block) => [block, kind] as const)));
  return [...lacked].flatMap(([block, kind]) => {
    if (spec[block] === undefined) return [];
    const message = `${block} is about a Service, not about a ${kind}`;
    return [errorAt('WEFT_FIELD_CONFLICT', ['spec', block], message, 'write a policy of its own, whose target is the Service')];
  });
}
