import type { ServiceKey } from '#model/mesh/service.ts';
import type { HttpBackend } from '#model/waypoint/config.ts';

/** Where a request goes after routing. */
export type RouteTarget =
  | { readonly kind: 'service'; readonly service: ServiceKey; readonly port: number }
  /** The reference does not resolve, or nothing has weight: 500. */
  | { readonly kind: 'invalid'; readonly why: 'no-backends' | 'unresolved' };

/** The backends of one rule with their running weight sums. */
export type WeightedTargets = {
  readonly total: number;
  readonly shares: readonly { readonly below: number; readonly target: RouteTarget }[];
};

const NO_BACKENDS: RouteTarget = { kind: 'invalid', why: 'no-backends' };
const UNRESOLVED: RouteTarget = { kind: 'invalid', why: 'unresolved' };

/** Weight 0 gets nothing; an unresolved reference keeps its share (config-api 1.10). */
export function compileBackends(backends: readonly HttpBackend[]): WeightedTargets {
  const shares: { below: number; target: RouteTarget }[] = [];
  let total = 0;
  for (const { service, port, weight } of backends) {
    if (weight <= 0) continue;
    total += weight;
    shares.push({ below: total, target: service === null ? UNRESOLVED : { kind: 'service', service, port } });
  }
  return { total, shares };
}

/** Draws one target; `random` is in [0, 1). */
export function chooseTarget(targets: WeightedTargets, random: number): RouteTarget {
  const draw = random * targets.total;
  for (const { below, target } of targets.shares) if (draw < below) return target;
  return NO_BACKENDS;
}
