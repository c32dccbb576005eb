import { checkMatch } from '#control-plane/mesh/request-routes/check-matches.ts';
import { readDurationMs } from '#control-plane/mesh/request-routes/documents.ts';
import { errorAt, type FieldPath, type Problem, warningAt } from '#control-plane/resources/finding.ts';
import { didYouMean } from '#control-plane/resources/nearest-name.ts';
import { checkSettings } from './check-settings.ts';
import {
  type RawFault,
  type RawKey,
  type RawLimitRule,
  type RawTrafficMatch,
  type RawTrafficPolicy,
  TARGET_KINDS,
} from './schema.ts';

/** What the schema cannot say of a TrafficPolicy. */
export function checkTrafficPolicy({ spec }: RawTrafficPolicy): Problem[] {
  const { targetRefs, rateLimit, faultInjection } = spec;
  const problems = targetRefs.flatMap((target, at) => checkTarget(target, ['spec', 'targetRefs', at]));
  problems.push(...(rateLimit?.rules ?? []).flatMap((rule, at) => checkLimitRule(rule, ['spec', 'rateLimit', 'rules', at])));
  problems.push(...checkRuleNames(rateLimit?.rules ?? []));
  if (faultInjection !== undefined) problems.push(...checkFault(faultInjection, ['spec', 'faultInjection']));
  problems.push(...checkSettings(spec));
  const blocks = [rateLimit, faultInjection, spec.circuitBreaker, spec.outlierDetection, spec.retryBudget];
  if (blocks.every((block) => block === undefined) && problems.length === 0) {
    problems.push(warningAt('WEFT_LIKELY_MISTAKE', ['spec'], 'the policy says nothing', 'add rateLimit or faultInjection'));
  }
  return problems;
}

type RawTarget = RawTrafficPolicy['spec']['targetRefs'][number];

const GROUPS: Readonly<Record<string, string>> = {
  Service: '',
  HTTPRoute: 'gateway.networking.k8s.io',
  GRPCRoute: 'gateway.networking.k8s.io',
};

function checkTarget({ group, kind }: RawTarget, path: FieldPath): Problem[] {
  const wanted = GROUPS[kind];
  if (wanted === undefined) {
    const message = `a TrafficPolicy cannot be about a ${kind}${didYouMean(kind, [...TARGET_KINDS])}`;
    return [errorAt('WEFT_FIELD_INVALID', [...path, 'kind'], message, `use one of ${TARGET_KINDS.join(', ')}`)];
  }
  if (group === wanted) return [];
  const message = `${kind} is of group "${wanted}", not "${group}"`;
  return [errorAt('WEFT_FIELD_CONFLICT', [...path, 'group'], message, `write group: "${wanted}"`)];
}

// Fixed by what a day is: the API bounds windows and delays by it.
const DAY_MS = 86_400_000;

function checkLimitRule({ scope, match, key = [], limit }: RawLimitRule, path: FieldPath): Problem[] {
  const problems = [
    ...checkTrafficMatch(match, [...path, 'match']),
    ...key.flatMap((one, at) => checkKey(one, [...path, 'key', at])),
  ];
  if (scope === 'Global') {
    const message = 'scope Global is not there yet: no waypoint asks a rate limit service';
    problems.push(errorAt('WEFT_FIELD_INVALID', [...path, 'scope'], message, 'write scope: Local'));
  }
  const { requests, window, burst = requests } = limit;
  if (burst < requests) {
    const message = `burst ${burst} is lower than requests ${requests}`;
    problems.push(errorAt('WEFT_FIELD_CONFLICT', [...path, 'limit', 'burst'], message, 'burst must be at least requests'));
  }
  const windowMs = readDurationMs(window);
  if (windowMs < 1_000 || windowMs > DAY_MS) {
    const message = `a window of ${window} is not from 1s to 24h`;
    problems.push(errorAt('WEFT_FIELD_INVALID', [...path, 'limit', 'window'], message, 'choose one between, and scale requests'));
  }
  return problems;
}

function checkKey({ type, name }: RawKey, path: FieldPath): Problem[] {
  if (type === 'JWTClaim') {
    const message = 'claims are not known here yet, so nothing would tell the clients apart';
    return [errorAt('WEFT_FIELD_INVALID', [...path, 'type'], message, 'use SourceServiceAccount, Header or another key')];
  }
  const needsName = type === 'Header' || type === 'QueryParam';
  if (needsName === (name !== undefined)) return [];
  const message = needsName ? `type ${type} needs name` : `name does not belong to type ${type}`;
  return [errorAt('WEFT_FIELD_CONFLICT', [...path, 'name'], message, needsName ? 'add name' : 'remove name')];
}

/** Buckets go by the name of their rule. */
function checkRuleNames(rules: readonly RawLimitRule[]): Problem[] {
  return rules.flatMap(({ name }, at) => {
    if (rules.findIndex((other) => other.name === name) === at) return [];
    const path = ['spec', 'rateLimit', 'rules', at, 'name'];
    return [errorAt('WEFT_FIELD_CONFLICT', path, `another rule is called ${name}`, 'give each rule a name of its own')];
  });
}

function checkFault({ match, delay, abort }: RawFault, path: FieldPath): Problem[] {
  const problems = checkTrafficMatch(match, [...path, 'match']);
  if (delay !== undefined) {
    const delayMs = readDurationMs(delay.duration);
    if (delayMs < 1 || delayMs > DAY_MS / 24) {
      const message = `a delay of ${delay.duration} is not from 1ms to 1h`;
      problems.push(errorAt('WEFT_FIELD_INVALID', [...path, 'delay', 'duration'], message, 'choose one between'));
    }
  }
  if (abort !== undefined && (abort.httpStatus === undefined) === (abort.grpcStatus === undefined)) {
    const message = 'an abort has either httpStatus or grpcStatus';
    problems.push(errorAt('WEFT_FIELD_CONFLICT', [...path, 'abort'], message, 'write one of the two'));
  }
  if (delay === undefined && abort === undefined) {
    problems.push(warningAt('WEFT_LIKELY_MISTAKE', path, 'nothing is injected', 'add delay or abort'));
  }
  return problems;
}

function checkTrafficMatch(match: RawTrafficMatch | undefined, path: FieldPath): Problem[] {
  return match === undefined ? [] : checkMatch(match, path);
}
