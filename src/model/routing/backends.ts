import type { ServiceKey } from '#model/mesh/service.ts';
import { compileHeaderEdits, type HeaderEdits } from '#model/routing/header-edits.ts';
import { compileRewrite, type Rewrite } from '#model/routing/rewrite.ts';
import type { Subset } from '#model/routing/subsets.ts';
import type { BackendFilters, HttpBackend } from '#model/waypoint/config.ts';
import type { HttpMirror } from '#model/waypoint/filters.ts';

/** What is changed for one backend alone. */
export type BackendEdits = {
  readonly requestHeaders: HeaderEdits | null;
  readonly responseHeaders: HeaderEdits | null;
  readonly rewrite: Rewrite | null;
};

/** Where a request goes after routing. */
export type RouteTarget =
  | {
      readonly kind: 'service';
      readonly service: ServiceKey;
      readonly port: number;
      /** Null: any endpoint of the service. */
      readonly subset: Subset | null;
      readonly edits: BackendEdits | null;
    }
  /** Nothing has weight, or the reference does not resolve: 500; of a VirtualService (`no-cluster`) 503. */
  | { readonly kind: 'invalid'; readonly why: 'no-backends' | 'unresolved' | 'no-cluster' };

/** The backends of one rule with their running weight sums. */
export type WeightedTargets = {
  readonly total: number;
  readonly shares: readonly { readonly below: number; readonly target: RouteTarget }[];
};

const NO_BACKENDS: RouteTarget = { kind: 'invalid', why: 'no-backends' };
const UNRESOLVED: RouteTarget = { kind: 'invalid', why: 'unresolved' };
const NO_CLUSTER: RouteTarget = { kind: 'invalid', why: 'no-cluster' };

/** What a rule's backends are compiled with. */
export type RuleContext = {
  /** What its only match matches; null when it has no such match. */
  readonly prefix: string | null;
  /** Of a VirtualService. */
  readonly inOrder: boolean;
  subsetOf(service: ServiceKey, name: string): Subset;
  problem(why: string): void;
};

/** Weight 0 gets nothing; an unresolved reference keeps its share (config-api 1.10). */
export function compileBackends(backends: readonly HttpBackend[], context: RuleContext): WeightedTargets {
  const shares: { below: number; target: RouteTarget }[] = [];
  let total = 0;
  for (const { service, port, subset: name, weight, filters } of backends) {
    if (weight <= 0) continue;
    total += weight;
    const edits = filters === undefined ? null : compileEdits(filters, context);
    const subset = service === null || name === undefined ? null : context.subsetOf(service, name);
    const missing = context.inOrder ? NO_CLUSTER : UNRESOLVED;
    shares.push({ below: total, target: service === null ? missing : { kind: 'service', service, port, subset, edits } });
  }
  return { total, shares };
}

/** A mirror, with the endpoints that get its copies. */
export type RouteMirror = Omit<HttpMirror, 'subset'> & { readonly subset: Subset | null };

/** Looks up the subset that a mirror names. */
export function compileMirror({ subset, ...mirror }: HttpMirror, { subsetOf }: RuleContext): RouteMirror {
  return { ...mirror, subset: subset === undefined ? null : subsetOf(mirror.service, subset) };
}

/** Draws one target; `random` is in [0, 1). */
export function chooseTarget(targets: WeightedTargets, random: number): RouteTarget {
  const draw = random * targets.total;
  for (const { below, target } of targets.shares) if (draw < below) return target;
  return NO_BACKENDS;
}

function compileEdits(
  { requestHeaders, responseHeaders, rewrite }: BackendFilters,
  { prefix, problem }: RuleContext,
): BackendEdits {
  return {
    requestHeaders: compileHeaderEdits(requestHeaders, problem),
    responseHeaders: compileHeaderEdits(responseHeaders, problem),
    rewrite: rewrite === null ? null : compileRewrite(rewrite, prefix),
  };
}
