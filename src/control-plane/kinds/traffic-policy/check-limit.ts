import { claimPath } from '#control-plane/mesh/claim-path.ts';
import { checkMatch } from '#control-plane/mesh/request-routes/check-matches.ts';
import { readDurationMs } from '#control-plane/mesh/request-routes/documents.ts';
import { errorAt, type FieldPath, type Problem, warningAt } from '#control-plane/resources/finding.ts';
import { WAYPOINT } from '#model/settings/waypoints.ts';
import { GLOBAL_WINDOWS_MS } from '#model/traffic/global-limit.ts';
import type { RawKey, RawLimitRule, RawRateLimit } from './schema.ts';

// Fixed by what a day is: the API bounds windows by it.
const DAY_MS = 86_400_000;

/** What the schema cannot say of a rate limit. */
export function checkRateLimit({ rules, service, timeout }: RawRateLimit, path: FieldPath): Problem[] {
  const problems = rules.flatMap((rule, at) => checkRule(rule, [...path, 'rules', at]));
  problems.push(...checkRuleNames(rules, [...path, 'rules']));
  const timeoutMs = readDurationMs(timeout);
  if (timeoutMs < 1 || timeoutMs > WAYPOINT.limitMsMax) {
    const message = `a timeout of ${timeout} is not from 1ms to ${WAYPOINT.limitMsMax / 1_000}s: each request waits so long`;
    problems.push(errorAt('WEFT_FIELD_INVALID', [...path, 'timeout'], message, 'choose one between'));
  }
  if (service !== undefined && rules.every(({ scope }) => scope === 'Local')) {
    const message = 'no rule has scope Global, so nobody is asked';
    problems.push(warningAt('WEFT_LIKELY_MISTAKE', [...path, 'service'], message, 'remove service, or write scope: Global'));
  }
  return problems;
}

/** Of one rule, whoever counts for it. */
function checkRule({ scope, match, key = [], limit }: RawLimitRule, path: FieldPath): Problem[] {
  return [
    ...(match === undefined ? [] : checkMatch(match, [...path, 'match'])),
    ...key.flatMap((one, at) => checkKey(one, [...path, 'key', at])),
    ...(scope === 'Global' ? checkGlobal : checkLocal)(limit, [...path, 'limit']),
  ];
}

/** A bucket fills all the time, so any window will do. */
function checkLocal({ requests, window, burst = requests }: RawLimitRule['limit'], path: FieldPath): Problem[] {
  const problems: Problem[] = [];
  if (burst < requests) {
    const message = `burst ${burst} is lower than requests ${requests}`;
    problems.push(errorAt('WEFT_FIELD_CONFLICT', [...path, 'burst'], message, 'burst must be at least requests'));
  }
  const windowMs = readDurationMs(window);
  if (windowMs < 1_000 || windowMs > DAY_MS) {
    const message = `a window of ${window} is not from 1s to 24h`;
    problems.push(errorAt('WEFT_FIELD_INVALID', [...path, 'window'], message, 'choose one between, and scale requests'));
  }
  return problems;
}

/** A server counts in whole units of time, for all replicas, and knows no bursts. */
function checkGlobal({ window, burst, perReplica }: RawLimitRule['limit'], path: FieldPath): Problem[] {
  const problems: Problem[] = [];
  if (!GLOBAL_WINDOWS_MS.some((known) => known === readDurationMs(window))) {
    const message = `scope Global counts in windows of 1s, 1m, 1h or 24h, not of ${window}`;
    problems.push(errorAt('WEFT_FIELD_INVALID', [...path, 'window'], message, 'choose one of these, and scale requests'));
  }
  if (burst !== undefined) {
    const message = 'burst is for scope Local: a rate limit service has none';
    problems.push(errorAt('WEFT_FIELD_CONFLICT', [...path, 'burst'], message, 'remove burst'));
  }
  if (perReplica) {
    const message = 'perReplica is for scope Local: a rate limit service counts for all replicas';
    problems.push(errorAt('WEFT_FIELD_CONFLICT', [...path, 'perReplica'], message, 'remove perReplica'));
  }
  return problems;
}

/** A key without its name would be the same for everybody. */
function checkKey({ type, name, path: claim }: RawKey, path: FieldPath): Problem[] {
  if (type === 'JWTClaim' ? claim === undefined || claimPath(claim) === null : claim !== undefined) {
    const message = type === 'JWTClaim' ? 'type JWTClaim needs the path of a claim' : `path does not belong to type ${type}`;
    const remedy = type === 'JWTClaim' ? 'write path, such as sub, user.id or [https://example.com/team]' : 'remove path';
    return [errorAt('WEFT_FIELD_CONFLICT', [...path, 'path'], message, remedy)];
  }
  const needsName = type === 'Header' || type === 'QueryParam';
  if (needsName === (name !== undefined)) return [];
  const message = needsName ? `type ${type} needs name` : `name does not belong to type ${type}`;
  return [errorAt('WEFT_FIELD_CONFLICT', [...path, 'name'], message, needsName ? 'add name' : 'remove name')];
}

/** Buckets go by the name of their rule. */
function checkRuleNames(rules: readonly RawLimitRule[], path: FieldPath): Problem[] {
  return rules.flatMap(({ name }, at) => {
    if (rules.findIndex((other) => other.name === name) === at) return [];
    return [
      errorAt('WEFT_FIELD_CONFLICT', [...path, at, 'name'], `another rule is called ${name}`, 'give each rule a name of its own'),
    ];
  });
}
