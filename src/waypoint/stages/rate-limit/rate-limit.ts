import { WAYPOINT } from '#model/settings/waypoints.ts';
import { bucketKey, compileRateLimit, type Limit, type LimitRule } from '#model/traffic/rate-limit.ts';
import { BucketTable, type BucketVerdict, shareOf, takeToken } from '#model/traffic/token-bucket.ts';
import type { Exchange } from '#waypoint/exchange/exchange.ts';
import { type LocalReply, reply } from '#waypoint/exchange/local-reply.ts';
import { NEXT, replyWith, type Stage, type StageParts } from '#waypoint/exchange/stage.ts';
import { compileEach, trafficOf } from '#waypoint/exchange/traffic.ts';

/** The rule that has least left, or that refused. */
type Tightest = { readonly rule: LimitRule; readonly verdict: BucketVerdict };

/**
 * Counts requests into the buckets of TrafficPolicies and refuses what is too much (W58). After the policies: who is denied takes
 * nothing from anybody. Buckets belong to the service and outlive configurations, so that a change of a limit keeps their fill.
 */
export function rateLimitStage(parts: StageParts): Stage {
  const { state, perExchange } = parts;
  const limits = state.bindings.keep({
    make: (bound) => compileEach(bound, 'rateLimit', (limit) => compileRateLimit(limit, bound.problem)),
  });
  const tightest = perExchange.add<Tightest>();
  const charge = charger(parts);
  return {
    name: 'rate-limit',
    request(exchange) {
      const said = trafficOf(exchange, 'rateLimit');
      if (said === null || exchange.bound === null) return NEXT;
      const limit = limits.of(exchange.bound).get(said);
      if (limit === undefined) return NEXT;
      // Each rule takes its token, also where another one refuses.
      const found = charge(exchange, limit);
      if (found === null) return NEXT;
      if (limit.responseHeaders) tightest.set(exchange, found);
      return found.verdict.admitted ? NEXT : replyWith(refused(found.verdict));
    },
    response(exchange, { headers }) {
      if (exchange.bound === null || trafficOf(exchange, 'rateLimit')?.responseHeaders !== true) return;
      const found = tightest.peek(exchange);
      if (found === null) return;
      const { rule, verdict } = found;
      headers.set('x-ratelimit-limit', `${rule.requests}, ${rule.requests};w=${rule.windowMs / 1_000};name="${rule.name}"`);
      headers.set('x-ratelimit-remaining', String(verdict.remaining));
      headers.set('x-ratelimit-reset', String(Math.ceil(verdict.waitMs / 1_000)));
    },
  };
}

/** Charges every rule that matches; null: none does, or only such as are not enforced. */
function charger({ effects: { clock }, state, telemetry, replicas }: StageParts): (e: Exchange, limit: Limit) => Tightest | null {
  const tables = state.perService.keep({ make: () => new Map<string, BucketTable>() });
  return (exchange, limit) => {
    const nowMs = clock.monotonicMs();
    let found: Tightest | null = null;
    for (const rule of limit.rules) {
      const { client } = exchange.connection;
      if (exchange.bound === null || !rule.matches(exchange, client.identity)) continue;
      const key = shortened(bucketKey(rule.key, keyed(exchange)));
      const rate = rule.perReplica ? rule : shareOf(rule, replicas());
      const table = tableOf(tables.of(exchange.bound.state), rule.id);
      const verdict = takeToken(table.of(key, rate.burst, nowMs), rate, nowMs);
      if (!verdict.admitted) {
        const mode = rule.shadow ? 'shadow' : 'enforced';
        telemetry.meters.counter('weft_rate_limited_total', { policy: limit.policy, rule: rule.name, mode }).add();
      }
      if (!rule.shadow && (found === null || isTighter(verdict, found.verdict))) found = { rule, verdict };
    }
    return found;
  };
}

/** A refusal before what is let through; of refusals the longest wait, else what leaves least. */
function isTighter(a: BucketVerdict, b: BucketVerdict): boolean {
  if (a.admitted !== b.admitted) return b.admitted;
  return a.admitted ? a.remaining < b.remaining : a.waitMs > b.waitMs;
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

/** What keys are made of. The address is the peer's own: headers that name another prove nothing. */
function keyed(exchange: Exchange): Parameters<typeof bucketKey>[1] {
  const { identity: client, address } = exchange.connection.client;
  const { method, path, query } = exchange;
  return { method, path, query, client, address, headerValues: (name) => exchange.headerValues(name) };
}

/** Headers may be long, and each key is kept: those that begin alike and are of one length share a bucket. */
function shortened(key: string): string {
  return key.length <= WAYPOINT.bucketKeyCharactersMax ? key : `${key.slice(0, WAYPOINT.bucketKeyCharactersMax)}\n${key.length}`;
}

/** 429, to gRPC RESOURCE_EXHAUSTED; clients hear when to come back. */
function refused({ waitMs }: BucketVerdict): LocalReply {
  const headers = ['retry-after', String(Math.max(1, Math.ceil(waitMs / 1_000))), 'x-envoy-ratelimited', 'true'];
  return { ...reply(429, 'local_rate_limited', 'RL', 'local_rate_limited'), grpcStatus: 8, headers };
}
