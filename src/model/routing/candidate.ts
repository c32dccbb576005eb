import type { RouteRetry } from '#model/resilience/route-retry.ts';
import type { RouteMirror, WeightedTargets } from '#model/routing/backends.ts';
import type { Cors } from '#model/routing/cors.ts';
import type { HeaderEdits } from '#model/routing/header-edits.ts';
import type { Redirect } from '#model/routing/redirect.ts';
import { compileRegex } from '#model/routing/regex/regex.ts';
import type { Rewrite } from '#model/routing/rewrite.ts';
import type { HttpRouteMatch } from '#model/waypoint/config.ts';
import type { HttpSession } from '#model/waypoint/filters.ts';
import type { Traffic } from '#model/waypoint/traffic.ts';
import type { HttpDirectResponse } from '#model/waypoint/virtual.ts';

/** What a route can see of a request. */
export type RouteRequest = {
  readonly method: string;
  /** Normalized path without query. */
  readonly path: string;
  /** What follows `?`, undecoded; '' when there is none. */
  readonly query: string;
  /** Every value of the header, in order; `name` in lower case. */
  headerValues(name: string): readonly string[];
};

/** A request with what VirtualServices, and the choice between routes, look at beside. */
export type RoutedRequest = RouteRequest & {
  readonly scheme: 'http' | 'https';
  /** As the client wrote it, perhaps with a port; '' when it named none. */
  readonly clientAuthority: string;
  /** The port that was dialled. */
  readonly port: number;
  /** Of the client's verified identity; null: it has none. */
  readonly clientNamespace: string | null;
  /** The texts of a claim of the token that it has proved, each name within the one before; none where there is none. */
  claimValues(path: readonly string[]): readonly string[];
};

/** One rule of one route, ready to apply. */
export type RouteRule = {
  /** `<namespace>/<route>/<rule name, or its index>`: the name in logs. */
  readonly name: string;
  readonly targets: WeightedTargets;
  readonly requestHeaders: HeaderEdits | null;
  readonly responseHeaders: HeaderEdits | null;
  readonly rewrite: Rewrite | null;
  /** Answers in place of the backends. */
  readonly redirect: Redirect | null;
  /** Likewise. */
  readonly directResponse: HttpDirectResponse | null;
  readonly cors: Cors | null;
  /** Null: none. */
  readonly mirrors: readonly RouteMirror[] | null;
  /** Milliseconds; null: unlimited. */
  readonly requestTimeoutMs: number | null;
  /** Milliseconds of one try; null: unlimited. */
  readonly backendTimeoutMs: number | null;
  /** Null: what holds for every request. */
  readonly retry: RouteRetry | null;
  readonly session: HttpSession | null;
  readonly traffic: Traffic | null;
};

/** One match of one rule: the unit that competes for requests. Ranks compare from the first number on, highest first. */
export type RouteCandidate = {
  readonly rule: RouteRule;
  readonly rank: readonly number[];
  matches(request: RoutedRequest): boolean;
};

/** One thing that a match asks of a request. */
export type RouteTest = (request: RouteRequest) => boolean;

const EVERYTHING: HttpRouteMatch = { path: null, method: null, headers: [], queryParams: [] };

/** The candidates of one rule; a match with an unusable pattern is left out and reported. */
export function compileCandidates(
  rule: RouteRule,
  matches: readonly HttpRouteMatch[],
  problem: (why: string) => void,
): RouteCandidate[] {
  const candidates: RouteCandidate[] = [];
  for (const match of matches.length === 0 ? [EVERYTHING] : matches) {
    const tests = compileTests(match, problem);
    if (tests === null) continue;
    candidates.push({ rule, rank: rankOf(match), matches: (request) => tests.every((test) => test(request)) });
  }
  return candidates;
}

/** A rule that competes by its place alone. */
export function candidateInOrder(rule: RouteRule, tests: readonly ((request: RoutedRequest) => boolean)[]): RouteCandidate {
  return { rule, rank: [], matches: (request) => tests.every((test) => test(request)) };
}

/** Positive when `a` ranks below `b`: for sorting, best first. Equal ranks keep their order (config-api 1.7). */
export function compareCandidates(a: RouteCandidate, b: RouteCandidate): number {
  for (let at = 0; at < a.rank.length; at++) {
    const difference = (b.rank[at] ?? 0) - (a.rank[at] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** Exact > prefix > regex, then the longer path, then method, then more headers, then more query parameters. */
function rankOf(match: HttpRouteMatch): number[] {
  const { grpc } = match;
  // Of calls: the longer service, then the longer method (config-api 1.13). No port has routes of both sorts.
  if (grpc !== undefined) return [grpc.service?.length ?? 0, grpc.method?.length ?? 0, match.headers.length, 0, 0];
  const path = match.path ?? { type: 'prefix', value: '/' };
  const kinds = { exact: 2, prefix: 1, regex: 0 };
  const length = path.type === 'prefix' ? withoutTrailingSlash(path.value).length : path.value.length;
  return [kinds[path.type], length, match.method === null ? 0 : 1, match.headers.length, match.queryParams.length];
}

/** The tests of one match, all of which must hold; null when a pattern of it cannot be used, which is reported. */
export function compileTests(match: HttpRouteMatch, problem: (why: string) => void): RouteTest[] | null {
  const tests: (RouteTest | null)[] = [];
  if (match.path !== null) tests.push(pathTest(match.path, problem));
  if (match.grpc !== undefined) tests.push(callTest(match.grpc, problem));
  const { method } = match;
  if (method !== null) tests.push((request) => request.method === method);
  const seen = new Set<string>();
  for (const header of match.headers) {
    const name = header.name.toLowerCase();
    // Of several entries for one name only the first counts (Gateway API).
    if (seen.has(name)) continue;
    seen.add(name);
    const test = valueTest(header, problem);
    tests.push(test && ((request) => request.headerValues(name).some(test)));
  }
  for (const { name, ...value } of match.queryParams) {
    const test = valueTest(value, problem);
    tests.push(test && ((request) => holdsParam(request.query, name, test)));
  }
  const usable = tests.filter((test) => test !== null);
  return usable.length === tests.length ? usable : null;
}

function holdsParam(query: string, name: string, test: (value: string) => boolean): boolean {
  const value = firstQueryParam(query, name);
  return value !== null && test(value);
}

/** A path of two segments, each as the match says. */
function callTest(
  { type, service, method }: NonNullable<HttpRouteMatch['grpc']>,
  problem: (why: string) => void,
): RouteTest | null {
  const any = () => true;
  const ofService = service === null ? any : valueTest({ type, value: service }, problem);
  const ofMethod = method === null ? any : valueTest({ type, value: method }, problem);
  if (ofService === null || ofMethod === null) return null;
  return ({ path }) => {
    const slash = path.indexOf('/', 1);
    return slash > 0 && ofService(path.slice(1, slash)) && ofMethod(path.slice(slash + 1));
  };
}

function pathTest(path: { type: 'exact' | 'prefix' | 'regex'; value: string }, problem: (why: string) => void): RouteTest | null {
  if (path.type !== 'prefix') {
    const test = valueTest(path, problem);
    return test && ((request) => test(request.path));
  }
  const whole = withoutTrailingSlash(path.value);
  const inside = `${whole}/`;
  return (request) => request.path.startsWith(inside) || request.path === whole;
}

function valueTest(
  match: { type: 'exact' | 'prefix' | 'regex'; value: string },
  problem: (why: string) => void,
): ((value: string) => boolean) | null {
  const { value } = match;
  if (match.type !== 'regex') return (found) => found === value;
  const outcome = compileRegex(value);
  if (outcome.kind === 'compiled') return (found) => outcome.regex.matches(found);
  problem(`the pattern "${value}" ${outcome.why}`);
  return null;
}

function withoutTrailingSlash(path: string): string {
  return path.endsWith('/') ? path.slice(0, -1) : path;
}

/** The value of the first parameter called `name`, undecoded (as Envoy compares it); null when there is none. */
export function firstQueryParam(query: string, name: string): string | null {
  let start = 0;
  while (start <= query.length && query !== '') {
    const next = query.indexOf('&', start);
    const end = next < 0 ? query.length : next;
    const equals = query.indexOf('=', start);
    const nameEnd = equals < 0 || equals > end ? end : equals;
    if (nameEnd - start === name.length && query.startsWith(name, start))
      return nameEnd === end ? '' : query.slice(nameEnd + 1, end);
    start = end + 1;
  }
  return null;
}
