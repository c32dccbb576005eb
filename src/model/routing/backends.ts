import type { ServiceKey } from '#model/mesh/service.ts';
import { compileHeaderEdits, type HeaderEdits } from '#model/routing/header-edits.ts';
import { compileRewrite, type Rewrite } from '#model/routing/rewrite.ts';
import type { BackendFilters, HttpBackend } from '#model/waypoint/config.ts';

/** What is changed for one backend alone. */
export type BackendEdits = {
  readonly requestHeaders: HeaderEdits | null;
  readonly responseHeaders: HeaderEdits | null;
  readonly rewrite: Rewrite | null;
};

/** Where a request goes after routing. */
export type RouteTarget =
  | { readonly kind: 'service'; readonly service: ServiceKey; readonly port: number; readonly edits: BackendEdits | null }
  /** The reference does not resolve, or nothing has weight: 500. */
  | { readonly kind: 'invalid'; readonly why: 'no-backends' | 'unresolved' };

/** The backends of one rule with their running weight sums. */
export type WeightedTargets = {
  readonly total: number;
  readonly shares: readonly { readonly below: number; readonly target: RouteTarget }[];
};

const NO_BACKENDS: RouteTarget = { kind: 'invalid', why: 'no-backends' };
const UNRESOLVED: RouteTarget = { kind: 'invalid', why: 'unresolved' };

/** What a rule's backends are compiled with. `prefix`: what its only match matches; null when it has no such match. */
export type RuleContext = { readonly prefix: string | null; problem(why: string): void };

/** Weight 0 gets nothing; an unresolved reference keeps its share (config-api 1.10). */
export function compileBackends(backends: readonly HttpBackend[], context: RuleContext): WeightedTargets {
  const shares: { below: number; target: RouteTarget }[] = [];
  let total = 0;
  for (const { service, port, weight, filters } of backends) {
    if (weight <= 0) continue;
    total += weight;
    const edits = filters === undefined ? null : compileEdits(filters, context);
    shares.push({ below: total, target: service === null ? UNRESOLVED : { kind: 'service', service, port, edits } });
  }
  return { total, shares };
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
