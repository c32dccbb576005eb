import { compileRetry } from '#model/resilience/route-retry.ts';
import { compileBackends, compileMirror, type RuleContext } from '#model/routing/backends.ts';
import {
  candidateInOrder,
  compareCandidates,
  compileCandidates,
  type RouteCandidate,
  type RoutedRequest,
  type RouteRule,
} from '#model/routing/candidate.ts';
import { compileCors } from '#model/routing/cors.ts';
import { compileHeaderEdits } from '#model/routing/header-edits.ts';
import { compilePathRewrite } from '#model/routing/path-rewrite.ts';
import { compileRewrite } from '#model/routing/rewrite.ts';
import { compileSubsets, type SubsetLookup } from '#model/routing/subsets.ts';
import { compileVirtualMatch } from '#model/routing/virtual-match.ts';
import type { HttpRoute, HttpRouteRule } from '#model/waypoint/config.ts';
import type { ServiceSubset } from '#model/waypoint/virtual.ts';

/** The routes of one service port, best candidate first. Null: no such route is attached. */
export type PortRoutes = {
  readonly producers: readonly RouteCandidate[] | null;
  /** Client namespace → the only routes its clients see (config-api 1.12). */
  readonly consumers: ReadonlyMap<string, readonly RouteCandidate[]>;
};

/** The routes of one service; compiled once per configuration change. */
export type RouteTable = { readonly ports: ReadonlyMap<number, PortRoutes>; readonly otherPorts: PortRoutes };

/** What the routes say of one request. */
export type RouteDecision =
  | { readonly kind: 'matched'; readonly rule: RouteRule }
  /** No route is attached for this client: the request goes to the service it was addressed to. */
  | { readonly kind: 'unrouted' }
  /** Routes are attached and none matches: 404. */
  | { readonly kind: 'not-found' };

const UNROUTED: RouteDecision = { kind: 'unrouted' };
const NOT_FOUND: RouteDecision = { kind: 'not-found' };

/**
 * Compiles the routes of one service; they come sorted oldest first. `told`: the subsets that they lead to.
 * Unusable parts are left out and reported through `problem` with the route they are in.
 */
export function compileRoutes(
  routes: readonly HttpRoute[],
  problem: (why: string) => void,
  told: readonly ServiceSubset[] = [],
): RouteTable {
  const subsetOf = compileSubsets(told);
  const compiled = routes.map((route) => ({ route, candidates: candidatesOf(route, subsetOf, problem) }));
  const named = new Set(routes.flatMap((route) => route.ports ?? []));
  const ports = new Map<number, PortRoutes>();
  for (const port of named) ports.set(port, portRoutes(compiled.filter(({ route }) => route.ports?.includes(port) ?? true)));
  return { ports, otherPorts: portRoutes(compiled.filter(({ route }) => route.ports === null)) };
}

/** The routes that bind to a service port. */
export function routesOfPort(table: RouteTable, port: number): PortRoutes {
  return table.ports.get(port) ?? table.otherPorts;
}

/** The best match for a request. */
export function matchRoute(routes: PortRoutes, request: RoutedRequest): RouteDecision {
  const { clientNamespace } = request;
  const consumer = clientNamespace === null ? undefined : routes.consumers.get(clientNamespace);
  const candidates = consumer ?? routes.producers;
  if (candidates === null) return UNROUTED;
  for (const candidate of candidates) {
    if (candidate.matches(request)) return { kind: 'matched', rule: candidate.rule };
  }
  return NOT_FOUND;
}

type CompiledRoute = { route: HttpRoute; candidates: RouteCandidate[] };

function portRoutes(attached: readonly CompiledRoute[]): PortRoutes {
  const producers = attached.filter(({ route }) => route.clientNamespace === null);
  const namespaces = new Set(attached.flatMap(({ route }) => route.clientNamespace ?? []));
  const consumers = new Map<string, readonly RouteCandidate[]>();
  for (const namespace of namespaces) {
    consumers.set(namespace, merged(attached.filter(({ route }) => route.clientNamespace === namespace)));
  }
  return { producers: producers.length === 0 ? null : merged(producers), consumers };
}

function merged(routes: readonly CompiledRoute[]): RouteCandidate[] {
  // Array.sort is stable: equal ranks keep route age, then name, then rule order.
  return routes.flatMap(({ candidates }) => candidates).sort(compareCandidates);
}

function candidatesOf(route: HttpRoute, subsetOf: SubsetLookup, problem: (why: string) => void): RouteCandidate[] {
  const name = `${route.namespace}/${route.name}`;
  const inOrder = route.inOrder === true;
  const report = (why: string): void => problem(`${inOrder ? 'VirtualService' : 'HTTPRoute'} ${name}: ${why}`);
  return route.rules.flatMap((rule, index) => {
    const context = { prefix: onlyPrefix(rule), inOrder, subsetOf, problem: report };
    const compiled = compileRule(`${name}/${rule.name === '' ? index : rule.name}`, rule, context);
    if (!inOrder) return compileCandidates(compiled, rule.matches, report);
    const tests = rule.virtual === undefined ? [] : compileVirtualMatch(rule.virtual, report);
    return tests === null ? [] : [candidateInOrder(compiled, tests)];
  });
}

function compileRule(name: string, rule: HttpRouteRule, context: RuleContext): RouteRule {
  const { redirect, rewrite, cors, mirrors = [] } = rule;
  const { prefix, problem } = context;
  return {
    name,
    targets: compileBackends(rule.backends, context),
    requestHeaders: compileHeaderEdits(rule.requestHeaders, problem),
    responseHeaders: compileHeaderEdits(rule.responseHeaders, problem),
    rewrite: rewrite === undefined ? null : compileRewrite(rewrite, prefix),
    redirect: redirect === undefined ? null : { ...redirect, path: compilePathRewrite(redirect.path, prefix) },
    directResponse: rule.directResponse ?? null,
    cors: cors === undefined ? null : compileCors(cors, problem),
    mirrors: mirrors.length === 0 ? null : mirrors.map((mirror) => compileMirror(mirror, context)),
    requestTimeoutMs: rule.requestTimeoutMs,
    backendTimeoutMs: rule.backendTimeoutMs ?? null,
    retry: rule.retry === undefined ? null : compileRetry(rule.retry),
    session: rule.session ?? null,
    traffic: rule.traffic ?? null,
  };
}

/** What a prefix modifier replaces: with several matches it would be open which. */
function onlyPrefix({ matches }: HttpRouteRule): string | null {
  const [only] = matches;
  // A rule without matches, and a match without a path, match every path: by the prefix `/`.
  if (matches.length > 1) return null;
  const path = only?.path ?? { type: 'prefix', value: '/' };
  return path.type === 'prefix' ? path.value : null;
}
