import type { Identity } from '#model/identity/identity.ts';
import { firstQueryParam, type RouteRequest } from '#model/routing/candidate.ts';
import { accountOf, compileTrafficMatch, type TrafficTest } from '#model/traffic/match.ts';
import type { RateLimit, RateLimitKey, RateLimitRule } from '#model/waypoint/traffic.ts';

/** A rule, ready to apply. */
export type LimitRule = Omit<RateLimitRule, 'match'> & {
  /** `<policy>/<rule>`: by it the buckets outlive a configuration. */
  readonly id: string;
  readonly matches: TrafficTest;
};

/** A limit, ready to apply. */
export type Limit = { readonly policy: string; readonly responseHeaders: boolean; readonly rules: readonly LimitRule[] };

/** What keys are made of. */
export type KeyedRequest = RouteRequest & { readonly client: Identity | null; readonly address: string };

/** A rule whose pattern cannot be used is for every request: too strict rather than none. */
export function compileRateLimit({ policy, rules, responseHeaders }: RateLimit, problem: (why: string) => void): Limit {
  return {
    policy,
    responseHeaders,
    rules: rules.map(({ match, ...rule }) => ({
      ...rule,
      id: `${policy}/${rule.name}`,
      matches: compileTrafficMatch(match, (why) => problem(`TrafficPolicy ${policy}: ${why}`)) ?? (() => true),
    })),
  };
}

/** By which bucket of a rule a request is counted; a value that is missing is the empty one. */
export function bucketKey(keys: readonly RateLimitKey[], request: KeyedRequest): string {
  if (keys.length === 0) return '';
  // Values cannot run into one another: none of them holds a line feed.
  return keys.map((key) => valueOfKey(key, request)).join('\n');
}

function valueOfKey(key: RateLimitKey, request: KeyedRequest): string {
  const { client } = request;
  switch (key.type) {
    case 'service-account':
      return client === null ? '' : accountOf(client);
    case 'namespace':
      return client?.namespace ?? '';
    case 'address':
      return request.address;
    case 'method':
      return request.method;
    case 'path':
      return request.path;
    case 'header':
      return request.headerValues(key.name.toLowerCase())[0] ?? '';
    case 'query':
      return firstQueryParam(request.query, key.name) ?? '';
  }
}
