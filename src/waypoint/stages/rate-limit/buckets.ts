import { WAYPOINT } from '#model/settings/waypoints.ts';
import { bucketKey, type Counted, type KeyedRequest, type Limit, shortened, tighterOf } from '#model/traffic/rate-limit.ts';
import { BucketTable, shareOf, takeToken } from '#model/traffic/token-bucket.ts';
import type { StageParts } from '#waypoint/exchange/stage.ts';

/** Buckets of rules, by the rule's id. */
export type Buckets = Map<string, BucketTable>;

/** Charges each local rule of a limit that matches a request; null: none does, or only such as are not enforced. */
export type Charge = (tables: Buckets, request: KeyedRequest, limit: Limit) => Counted | null;

/** Buckets belong to the service, or to the waypoint, and outlive configurations, so that a change of a limit keeps their fill. */
export function charger({ effects: { clock }, telemetry, replicas }: StageParts): Charge {
  return (tables, request, limit) => {
    const nowMs = clock.monotonicMs();
    let found: Counted | null = null;
    for (const rule of limit.rules) {
      if (!rule.matches(request, request.client)) continue;
      const key = shortened(bucketKey(rule.key, request), WAYPOINT.bucketKeyCharactersMax);
      const rate = rule.perReplica ? rule : shareOf(rule, replicas());
      const table = tableOf(tables, rule.id);
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
function tableOf(tables: Buckets, id: string): BucketTable {
  const known = tables.get(id);
  if (known !== undefined) return known;
  const [oldest] = tables.keys();
  if (tables.size >= WAYPOINT.bucketTablesMax && oldest !== undefined) tables.delete(oldest);
  const table = new BucketTable(WAYPOINT.bucketsMax);
  tables.set(id, table);
  return table;
}
