import type { HeaderEdit } from '#model/authorizer/verdict.ts';
import { descriptorOf, judgeAnswer } from '#model/traffic/global-limit.ts';
import {
  type CompiledGlobal,
  type Counted,
  compileRateLimit,
  type KeyedRequest,
  type Limit,
  type LimitRule,
  tighterOf,
} from '#model/traffic/rate-limit.ts';
import type { Exchange } from '#waypoint/exchange/exchange.ts';
import { changeHeaders } from '#waypoint/exchange/header-changes.ts';
import { type LocalReply, reply } from '#waypoint/exchange/local-reply.ts';
import { NEXT, replyWith, type Stage, type StageParts, type StageResult } from '#waypoint/exchange/stage.ts';
import { compileEach, trafficOf } from '#waypoint/exchange/traffic.ts';
import type { Slot } from '#waypoint/state/slots.ts';
import { charger } from './buckets.ts';
import { LimitServers } from './servers.ts';

/** What one request remembers: by which rule its client is told what is left, its question, and what the server adds to the answer. */
type Remembered = { tightest: Counted | null; abort: () => void; toClient: readonly HeaderEdit[] };

/**
 * Counts requests by the rate limits of TrafficPolicies and refuses what is too much: in buckets (W58), then by asking a service that counts
 * for all (W59). After the policies: who is denied takes nothing from anybody. A flood that a bucket stops does not become one of the service.
 */
export function rateLimitStage(parts: StageParts): Stage {
  const { state, perExchange } = parts;
  const servers = new LimitServers(parts);
  const limits = state.bindings.keep({
    make: (bound) =>
      compileEach(bound, 'rateLimit', (said) => {
        const limit = compileRateLimit(said, bound.problem);
        if (limit.global?.server != null) servers.introduce(limit.global.server);
        return limit;
      }),
  });
  const remembered = perExchange.add<Remembered>();
  const charge = charger(parts);
  const ask = asker(parts, servers, remembered);
  return {
    name: 'rate-limit',
    request(exchange) {
      const said = trafficOf(exchange, 'rateLimit');
      if (said === null || exchange.bound === null) return NEXT;
      const limit = limits.of(exchange.bound).get(said);
      if (limit === undefined) return NEXT;
      const request = keyed(exchange);
      // Each rule takes its token, also where another one refuses.
      const found = charge(exchange, request, limit);
      if (limit.responseHeaders || limit.global !== null)
        remembered.set(exchange, { tightest: found, abort: () => {}, toClient: [] });
      if (found !== null && !found.verdict.admitted)
        return replyWith(refused(found.verdict.waitMs, 'local_rate_limited', 'local_rate_limited'));
      // A server is asked about what matches, and not at all where nothing does.
      const rules = limit.global?.rules.filter((rule) => rule.matches(request, request.client)) ?? [];
      return limit.global === null || rules.length === 0 ? NEXT : ask(exchange, request, limit, limit.global, rules);
    },
    response(exchange, { headers }) {
      const said = exchange.bound === null ? null : trafficOf(exchange, 'rateLimit');
      if (said === null || (!said.responseHeaders && said.global === undefined)) return;
      // Also of answers of our own: clients are to know why, and until when.
      const { tightest = null, toClient = [] } = remembered.peek(exchange) ?? {};
      changeHeaders(headers, toClient);
      if (!said.responseHeaders || tightest === null) return;
      const { rule, verdict } = tightest;
      headers.set('x-ratelimit-limit', `${rule.requests}, ${rule.requests};w=${rule.windowMs / 1_000};name="${rule.name}"`);
      headers.set('x-ratelimit-remaining', String(verdict.remaining));
      headers.set('x-ratelimit-reset', String(Math.ceil(verdict.waitMs / 1_000)));
    },
    end(exchange) {
      if (trafficOf(exchange, 'rateLimit')?.global !== undefined) remembered.peek(exchange)?.abort();
    },
  };
}

/** What becomes of a request by its global rules. */
type Ask = (
  exchange: Exchange,
  request: KeyedRequest,
  limit: Limit,
  global: CompiledGlobal,
  rules: readonly LimitRule[],
) => Promise<StageResult>;

/** One question for all global rules that match; who leaves takes it back. */
function asker(
  { effects: { clock }, telemetry: { meters } }: StageParts,
  servers: LimitServers,
  slot: Slot<Exchange, Remembered>,
): Ask {
  return async (exchange, request, { policy }, global, rules) => {
    const remembered = slot.peek(exchange);
    const { answer: asked, abort } = servers.ask(
      global,
      rules.map((rule) => descriptorOf(policy, rule, request)),
    );
    if (remembered !== null) remembered.abort = abort;
    const answer = await asked;
    if (exchange.over) return NEXT;
    // As with external authorizers: what it said, or what its silence came to.
    const count = (said: string): void => meters.counter('weft_rate_limit_answers_total', { policy, answer: said }).add();
    if (answer.kind === 'error') {
      count(global.failOpen ? 'failed-open' : 'error');
      if (!global.failOpen) return replyWith(unanswered(global, answer.why));
      exchange.details = 'rate_limiter_failure_mode_allowed';
    } else {
      const verdict = judgeAnswer(rules, answer);
      count(verdict.refused ? 'deny' : 'allow');
      for (const { name: rule, shadow } of verdict.exceeded)
        meters.counter('weft_rate_limited_total', { policy, rule, mode: shadow ? 'shadow' : 'enforced' }).add();
      if (remembered !== null) {
        remembered.tightest = tighterOf(remembered.tightest, verdict.tightest);
        remembered.toClient = answer.toClient;
      }
      if (verdict.refused) return replyWith(refused(verdict.tightest?.verdict.waitMs ?? 0, answer.body, 'request_rate_limited'));
      // Only what is admitted goes upstream.
      changeHeaders(exchange.request.headers, answer.toUpstream);
    }
    // A route's time begins when it is decided that it may.
    if (exchange.requestEndedMs > 0) exchange.requestEndedMs = clock.monotonicMs();
    return NEXT;
  };
}

/** What keys are made of. The address is the peer's own: headers that name another prove nothing. */
function keyed(exchange: Exchange): KeyedRequest {
  const { identity: client, address } = exchange.connection.client;
  const { method, path, query, authenticated } = exchange;
  return { method, path, query, client, address, authenticated, headerValues: (name) => exchange.headerValues(name) };
}

/** 429, to gRPC RESOURCE_EXHAUSTED; clients hear when to come back. */
function refused(waitMs: number, body: string | Uint8Array, details: string): LocalReply {
  const headers = ['retry-after', String(Math.max(1, Math.ceil(waitMs / 1_000))), 'x-envoy-ratelimited', 'true'];
  return { ...reply(429, '', 'RL', details), body, grpcStatus: 8, headers };
}

/** Nobody has decided, and the policy is closed then; why is for the log alone. */
function unanswered({ server }: CompiledGlobal, why: string): LocalReply {
  const name = server === null ? '' : `${server.service}:${server.port}|`;
  return reply(500, '', 'RLSE', `rate_limiter_error{${name}${why}}`.replaceAll(' ', '_'));
}
