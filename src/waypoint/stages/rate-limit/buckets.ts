import { WAYPOINT } from '#model/settings/waypoints.ts';
import { bucketKey, type Counted, type KeyedRequest, type Limit, shortened, tighterOf } from '#model/traffic/rate-limit.ts';
import { BucketTable, shareOf, takeToken } from '#model/traffic/token-bucket.ts';
import type { Exchange } from '#waypoint/exchange/exchange.ts';
import type { StageParts } from '#waypoint/exchange/stage.ts';

/** Charges each local rule that matches a request; null: none does, or only such as are not enforced. */
export type Charge = (exchange: Exchange, request: KeyedRequest, limit: Limit) => Counted | null;

/** Buckets belong to the service and outlive configurations, so that a change of a limit keeps their fill. */
export function charger({ effects: { clock }, state, telemetry, replicas }: StageParts): Charge {
  const tables = state.perService.keep({ make: () => new Map<string, BucketTable>() });
  return ({ bound }, request, limit) => {
    if (bound === null) return null;
    const nowMs = clock.monotonicMs();
    let found: Counted | null = null;
    for (const rule of limit.rules) {
      if (!rule.matches(request, request.client)) continue;
      const key = shortened(bucketKey(rule.key, request), WAYPOINT.bucketKeyCharactersMax);
      const rate = rule.perReplica ? rule : shareOf(rule, replicas());
      const table = tableOf(tables.of(bound.state), rule.id);
      const verdict = takeToken(table.of(key, rate.burst, nowMs), rate, nowMs);
      if (!verdict.admitted) {
        const mode = rule.shadow ? 'shadow' : 'enforced';
        telemetry.meters.counter('weft_rate_limited_total', { policy: limit.policy, rule: rule.name, mode }).add();
      }
      if (!rule.shadow) found = tighterOf(found, { rule, verdict });
    }
    return found;
  };
}

/** By rule; those of rules that are gone are forgotten when there is no place left. */
function tableOf(tables: Map<string, BucketTable>, id: string): BucketTable {
  const known = tables.get(id);
  if (known !== undefined) return known;
  const [oldest] = tables.keys();
  if (tables.size >= WAYPOINT.bucketTablesMax && oldest !== undefined) tables.delete(oldest);
  const table = new BucketTable(WAYPOINT.bucketsMax);
  tables.set(id, table);
  return table;
}
