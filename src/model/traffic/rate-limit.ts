import type { Authenticated } from '#model/authentication/judge.ts';
import { claimTexts } from '#model/authentication/token.ts';
import type { Identity } from '#model/identity/identity.ts';
import { firstQueryParam, type RouteRequest } from '#model/routing/candidate.ts';
import { accountOf, compileTrafficMatch, type TrafficTest } from '#model/traffic/match.ts';
import type { BucketVerdict } from '#model/traffic/token-bucket.ts';
import type { CountingRule, GlobalLimit, RateLimit, RateLimitKey, RateLimitRule } from '#model/waypoint/traffic.ts';

/** A rule, ready to apply. */
export type LimitRule<R extends CountingRule = CountingRule> = Omit<R, 'match'> & {
  /** `<policy>/<rule>`: by it the buckets outlive a configuration. */
  readonly id: string;
  readonly matches: TrafficTest;
};

/** A limit, ready to apply. */
export type Limit = {
  readonly policy: string;
  readonly responseHeaders: boolean;
  readonly rules: readonly LimitRule<RateLimitRule>[];
  /** Null: no server is asked. */
  readonly global: CompiledGlobal | null;
};

/** What a server is asked about, ready to apply. */
export type CompiledGlobal = Omit<GlobalLimit, 'rules'> & { readonly rules: readonly LimitRule[] };

/** What keys are made of. */
export type KeyedRequest = RouteRequest & {
  readonly client: Identity | null;
  readonly address: string;
  /** By a token that was proved; null: there is none. */
  readonly authenticated: Authenticated | null;
};

/** A rule whose pattern cannot be used is for every request: too strict rather than none. */
export function compileRateLimit({ policy, rules, responseHeaders, global }: RateLimit, problem: (why: string) => void): Limit {
  const compiled = <R extends CountingRule>({ match, ...rule }: R): LimitRule<R> => ({
    ...rule,
    id: `${policy}/${rule.name}`,
    matches: compileTrafficMatch(match, (why) => problem(`TrafficPolicy ${policy}: ${why}`)) ?? (() => true),
  });
  return {
    policy,
    responseHeaders,
    rules: rules.map(compiled),
    global: global === undefined ? null : { ...global, rules: global.rules.map(compiled) },
  };
}

/** What came of a request by one rule. */
export type Counted = { readonly rule: CountingRuleName; readonly verdict: BucketVerdict };

/** What of a rule clients are told. */
type CountingRuleName = Pick<CountingRule, 'name' | 'requests' | 'windowMs'>;

/** The rule that a client hears of: a refusal before what is let through; of refusals the longest wait, else what leaves least. */
export function tighterOf(a: Counted | null, b: Counted | null): Counted | null {
  if (a === null || b === null) return a ?? b;
  return isTighter(b.verdict, a.verdict) ? b : a;
}

function isTighter(a: BucketVerdict, b: BucketVerdict): boolean {
  if (a.admitted !== b.admitted) return b.admitted;
  return a.admitted ? a.remaining < b.remaining : a.waitMs > b.waitMs;
}

/** By which bucket of a rule a request is counted; a value that is missing is the empty one. */
export function bucketKey(keys: readonly RateLimitKey[], request: KeyedRequest): string {
  if (keys.length === 0) return '';
  // Values cannot run into one another: none of them holds a line feed.
  return keys.map((key) => valueOfKey(key, request)).join('\n');
}

/** What a request has of a key; '' where it has nothing. */
export function valueOfKey(key: RateLimitKey, request: KeyedRequest): string {
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
    case 'claim':
      return claimOf(request.authenticated, key.path);
  }
}

/** All that a claim says, on one line. */
function claimOf(who: Authenticated | null, path: readonly string[]): string {
  if (who === null) return '';
  return claimTexts(who.claims, path, who.spaceDelimitedClaims).join(',').replaceAll('\n', '\\n');
}

/** Values may be long, and each is kept somewhere: those that begin alike and are of one length are one. */
export function shortened(value: string, charactersMax: number): string {
  return value.length <= charactersMax ? value : `${value.slice(0, charactersMax)}\n${value.length}`;
}
