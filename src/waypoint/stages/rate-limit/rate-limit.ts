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
import type { RateLimit } from '#model/waypoint/traffic.ts';
import type { Exchange } from '#waypoint/exchange/exchange.ts';
import { changeHeaders } from '#waypoint/exchange/header-changes.ts';
import { type LocalReply, reply } from '#waypoint/exchange/local-reply.ts';
import { NEXT, replyWith, type Stage, type StageParts, type StageResult } from '#waypoint/exchange/stage.ts';
import { compileEach, trafficOf } from '#waypoint/exchange/traffic.ts';
import type { Slot } from '#waypoint/state/slots.ts';
import type { Problem } from '#waypoint/state/snapshot.ts';
import { type Buckets, charger } from './buckets.ts';
import { LimitServers } from './servers.ts';

/** What one request remembers: whether its client is told what is left by which rule, its question, and what servers add to the answer. */
type Remembered = { tells: boolean; tightest: Counted | null; abort: () => void; toClient: readonly HeaderEdit[] };

/** A limit that holds for a request, and where it counts. */
type Held = { readonly limit: Limit; readonly buckets: Buckets };
const NONE: readonly Held[] = [];

/**
 * Counts requests by the rate limits of TrafficPolicies and refuses what is too much: in buckets (W58), then by asking a service that counts
 * for all (W59). After the policies: who is denied takes nothing from anybody. A flood that a bucket stops does not become one of the service.
 */
export function rateLimitStage(parts: StageParts): Stage {
  const servers = new LimitServers(parts);
  const remembered = parts.perExchange.add<Remembered>();
  const limitsOf = finder(parts, servers);
  const charge = charger(parts);
  const ask = asker(parts, servers, remembered);
  return {
    name: 'rate-limit',
    request(exchange) {
      const limits = limitsOf(exchange);
      if (limits.length === 0) return NEXT;
      const request = keyed(exchange);
      // Each rule takes its token, also where another one refuses.
      const found = limits.map(({ limit, buckets }) => charge(buckets, request, limit)).reduce<Counted | null>(tighterOf, null);
      const tells = limits.some(({ limit }) => limit.responseHeaders);
      if (tells || limits.some(({ limit }) => limit.global !== null))
        remembered.set(exchange, { tells, tightest: found, abort: () => {}, toClient: [] });
      if (found !== null && !found.verdict.admitted)
        return replyWith(refused(found.verdict.waitMs, 'local_rate_limited', 'local_rate_limited'));
      const questions = limits.flatMap(({ limit }) => questionsOf(limit, request));
      return questions.length === 0 ? NEXT : ask(exchange, request, questions);
    },
    response(exchange, { headers }) {
      // Also of answers of our own: clients are to know why, and until when.
      const { tells = false, tightest = null, toClient = [] } = remembered.peek(exchange) ?? {};
      changeHeaders(headers, toClient);
      if (!tells || tightest === null) return;
      const { rule, verdict } = tightest;
      headers.set('x-ratelimit-limit', `${rule.requests}, ${rule.requests};w=${rule.windowMs / 1_000};name="${rule.name}"`);
      headers.set('x-ratelimit-remaining', String(verdict.remaining));
      headers.set('x-ratelimit-reset', String(Math.ceil(verdict.waitMs / 1_000)));
    },
    end: (exchange) => remembered.peek(exchange)?.abort(),
  };
}

/** Which limits hold for a request: what is said of its rule, port or service, and beside that what is said of the waypoint (config-api 6.3). */
function finder({ state }: StageParts, servers: LimitServers): (exchange: Exchange) => readonly Held[] {
  const compile = (said: RateLimit, problem: Problem): Limit => {
    const limit = compileRateLimit(said, problem);
    if (limit.global?.server != null) servers.introduce(limit.global.server);
    return limit;
  };
  // All services of a configuration have the same one of the waypoint.
  const known = new WeakMap<RateLimit, Limit>();
  const ofWaypoint = (said: RateLimit, problem: Problem): Limit => {
    const limit = known.get(said) ?? compile(said, problem);
    known.set(said, limit);
    return limit;
  };
  const ofServices = state.bindings.keep({
    make(bound) {
      const { rateLimit } = bound.base;
      // Ahead of requests; those that dial a workload have no service whose configuration would do it.
      if (rateLimit !== undefined) ofWaypoint(rateLimit, bound.problem);
      return compileEach(bound, 'rateLimit', (said) => compile(said, bound.problem));
    },
  });
  const ofService = state.perService.keep({ make: (): Buckets => new Map() });
  const own: Buckets = new Map();
  return (exchange) => {
    const { bound, snapshot } = exchange;
    const said = trafficOf(exchange, 'rateLimit');
    if (said === null && snapshot.rateLimit === null) return NONE;
    const limit = bound === null || said === null ? undefined : ofServices.of(bound).get(said);
    return [
      ...(bound === null || limit === undefined ? [] : [{ limit, buckets: ofService.of(bound.state) }]),
      ...(snapshot.rateLimit === null ? [] : [{ limit: ofWaypoint(snapshot.rateLimit, () => {}), buckets: own }]),
    ];
  };
}

/** What a server is asked about one request. */
type Question = { readonly policy: string; readonly global: CompiledGlobal; readonly rules: readonly LimitRule[] };

/** A server is asked about what matches, and not at all where nothing does. */
function questionsOf({ policy, global }: Limit, request: KeyedRequest): Question[] {
  const rules = global?.rules.filter((rule) => rule.matches(request, request.client)) ?? [];
  return global === null || rules.length === 0 ? [] : [{ policy, global, rules }];
}

/** What becomes of a request by its global rules. */
type Ask = (exchange: Exchange, request: KeyedRequest, questions: readonly Question[]) => Promise<StageResult>;

/** One question for all global rules of a limit that match, and none after a refusal; who leaves takes it back. */
function asker(
  { effects: { clock }, telemetry: { meters } }: StageParts,
  servers: LimitServers,
  slot: Slot<Exchange, Remembered>,
): Ask {
  const askOne = async (exchange: Exchange, request: KeyedRequest, { policy, global, rules }: Question): Promise<StageResult> => {
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
        remembered.toClient = [...remembered.toClient, ...answer.toClient];
      }
      if (verdict.refused) return replyWith(refused(verdict.tightest?.verdict.waitMs ?? 0, answer.body, 'request_rate_limited'));
      // Only what is admitted goes upstream.
      changeHeaders(exchange.request.headers, answer.toUpstream);
    }
    return NEXT;
  };
  return async (exchange, request, questions) => {
    for (const question of questions) {
      const result = await askOne(exchange, request, question);
      if (result !== NEXT || exchange.over) return result;
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
