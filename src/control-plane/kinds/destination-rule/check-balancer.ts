import { errorAt, type FieldPath, type Problem, warningAt } from '#control-plane/resources/finding.ts';
import { goDurationMs } from '#control-plane/resources/go-duration.ts';
import { isPrime } from '#model/balancing/consistent-hash.ts';
import { WAYPOINT } from '#model/settings/waypoints.ts';
import type { RawConsistentHash, RawLoadBalancer } from './schema.ts';

/** What is wrong with how endpoints are to be chosen. */
export function checkBalancer(balancer: RawLoadBalancer, path: FieldPath): Problem[] {
  const { simple, consistentHash, warmup, warmupDurationSecs } = balancer;
  const problems: Problem[] = [];
  if (consistentHash !== undefined && simple !== undefined && simple !== 'UNSPECIFIED') {
    const message = `simple ${simple} and consistentHash exclude one another`;
    problems.push(errorAt('WEFT_FIELD_CONFLICT', [...path, 'simple'], message, 'remove one of the two'));
  }
  if (warmup !== undefined && warmupDurationSecs !== undefined) {
    const message = 'warmupDurationSecs is what warmup.duration was called before: both are written';
    problems.push(errorAt('WEFT_FIELD_CONFLICT', [...path, 'warmupDurationSecs'], message, 'remove it'));
  }
  // A warning only: everything else of the rule does what it says.
  const place = [...path, warmup === undefined ? 'warmupDurationSecs' : 'warmup'];
  if ((warmup ?? warmupDurationSecs) !== undefined && (consistentHash !== undefined || simple === 'RANDOM')) {
    const message = 'only LEAST_REQUEST and ROUND_ROBIN know weights that grow: a new endpoint gets its whole share at once';
    problems.push(warningAt('WEFT_FIELD_IGNORED', place, message, 'remove it'));
  }
  problems.push(...checkWarmup(balancer, path));
  if (consistentHash !== undefined) problems.push(...checkHash(consistentHash, [...path, 'consistentHash']));
  return problems;
}

/** A duration of nothing would be no warm-up, and its author would not know. */
function checkWarmup({ warmup, warmupDurationSecs }: RawLoadBalancer, path: FieldPath): Problem[] {
  const problems = [
    ...(warmup === undefined ? [] : duration(warmup.duration ?? '', [...path, 'warmup', 'duration'], 1)),
    ...(warmupDurationSecs === undefined ? [] : duration(warmupDurationSecs, [...path, 'warmupDurationSecs'], 1)),
  ];
  if ((warmup?.aggression ?? 1) < 1) {
    const message = `aggression ${warmup?.aggression} is below 1, with which a weight grows evenly`;
    problems.push(errorAt('WEFT_FIELD_INVALID', [...path, 'warmup', 'aggression'], message, 'write a number from 1 on'));
  }
  return problems;
}

// As Istio's oneof has them.
const KEYS = ['httpHeaderName', 'httpCookie', 'useSourceIp', 'httpQueryParameterName'] as const;

/** Without a key every request would get any endpoint, in silence. */
function checkHash(hash: RawConsistentHash, path: FieldPath): Problem[] {
  const written = KEYS.filter((key) => hash[key] !== undefined && hash[key] !== false);
  const problems: Problem[] = [];
  if (written.length !== 1) {
    const said = written.length === 0 ? 'none' : written.join(' and ');
    const message = `requests are kept together by one of ${KEYS.join(', ')}: ${said} is written`;
    problems.push(errorAt('WEFT_FIELD_CONFLICT', path, message, 'write exactly one of them'));
  }
  const { httpCookie, maglev, ringHash } = hash;
  if (httpCookie?.ttl !== undefined) problems.push(...duration(httpCookie.ttl, [...path, 'httpCookie', 'ttl'], 0));
  // Which of the two is meant nobody can say.
  if (maglev !== undefined && ringHash !== undefined) {
    problems.push(errorAt('WEFT_FIELD_CONFLICT', [...path, 'maglev'], 'maglev and ringHash exclude one another', 'remove one'));
  }
  const size = maglev?.tableSize ?? 0;
  // An order that reaches all places of a table exists only where their number is a prime.
  if (size > 0 && !isPrime(size)) {
    const message = `${size} places are no table: their number has to be a prime`;
    problems.push(errorAt('WEFT_FIELD_INVALID', [...path, 'maglev', 'tableSize'], message, 'write a prime, such as 65537'));
  }
  return [...problems, ...checkSizes(hash, path)];
}

/** More places than that would hold every other request up while they are made. */
function checkSizes({ maglev, ringHash, minimumRingSize }: RawConsistentHash, path: FieldPath): Problem[] {
  const sizes = [
    { at: ['maglev', 'tableSize'], size: maglev?.tableSize },
    { at: ['ringHash', 'minimumRingSize'], size: ringHash?.minimumRingSize },
    { at: ['minimumRingSize'], size: minimumRingSize },
  ];
  return sizes.flatMap(({ at, size }) => {
    if (size === undefined || size <= WAYPOINT.hashPlacesMax) return [];
    const message = `${size} places are more than a waypoint makes, which are ${WAYPOINT.hashPlacesMax}`;
    return [warningAt('WEFT_FIELD_IGNORED', [...path, ...at], message, `write ${WAYPOINT.hashPlacesMax} or less`)];
  });
}

/** Also what a comparison in the schema cannot read. */
function duration(text: string, path: FieldPath, leastMs: number): Problem[] {
  if ((goDurationMs(text) ?? -1) >= leastMs) return [];
  return [errorAt('WEFT_FIELD_INVALID', path, `"${text}" is no time`, 'write one such as 10s')];
}
