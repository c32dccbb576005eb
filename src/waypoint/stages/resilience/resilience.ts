import type { Cancel, Clock } from '#model/effects/clock.ts';
import {
  type AttemptDecision,
  type AttemptFailure,
  decideAttempt,
  isRepeatableMethod,
  isSafeMethod,
  keepsBody,
} from '#model/resilience/attempts.ts';
import { retryPauseMs } from '#model/resilience/retry.ts';
import type { RouteRetry } from '#model/resilience/route-retry.ts';
import { readGrpcTimeout } from '#protocol/grpc/timeout.ts';
import type { ResponseHead, UpstreamProblem } from '#protocol/http/message.ts';
import type { Attempt } from '#waypoint/exchange/attempt.ts';
import { BodyKeeper, KeptBodies } from '#waypoint/exchange/body-keeper.ts';
import type { Carrier } from '#waypoint/exchange/carrier.ts';
import type { Exchange } from '#waypoint/exchange/exchange.ts';
import { REPLY } from '#waypoint/exchange/local-reply.ts';
import { NEXT, type Stage, type StageParts } from '#waypoint/exchange/stage.ts';
import type { Slot } from '#waypoint/state/slots.ts';
import type { Cluster } from '#waypoint/upstream/cluster.ts';

/** An answer that the route does not take for a failure. */
const TAKEN: AttemptDecision = { kind: 'give-up', why: 'not-allowed' };

/** A circuit breaker or a retry budget says so. */
const OVERFLOWED: AttemptDecision = { kind: 'give-up', why: 'overflow' };

/** Fixed by Node.js: what is longer is as good as no bound. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** The upstream may have had all of it, and be at work still. */
const TOO_SLOW: UpstreamProblem = {
  kind: 'too-slow',
  details: 'the try took longer than its route allows',
  staleConnection: false,
  unprocessed: false,
};

/** Bounds requests and their tries in time (a route's timeout runs from the end of the request, W39), and owns how often they are tried. */
export function resilienceStage(parts: StageParts): Stage {
  const {
    effects: { clock },
    attempts: usual,
    perExchange,
  } = parts;
  const timers = perExchange.add<Cancel>();
  const deadlines = perExchange.add<Deadline>();
  // One for the waypoint: many requests of allowed size must not add up to all of its memory.
  const bodies = new KeptBodies(usual.keptBodiesBytesMax);
  const retrying = perExchange.add<Cluster>();
  const decide = decider(parts, retrying);
  const start = (exchange: Exchange, carrier: Carrier): void => {
    const { route, attempt } = exchange;
    // One that is still to begin is bounded when it does.
    if (attempt !== null && attempt.endpoint !== null && route?.backendTimeoutMs != null)
      boundTry(exchange, attempt, carrier, parts);
    const timeoutMs = route?.requestTimeoutMs ?? null;
    if (timeoutMs === null) return;
    const cancel = clock.after(timeoutMs, () => carrier.timeOut());
    timers.set(exchange, cancel);
    if (attempt !== null) attempt.deadlineMs = deadlineOf(exchange, deadlines.peek(exchange));
  };
  return {
    name: 'resilience',
    request(exchange, carrier) {
      const { hasBody, contentLength, upgrade, version } = exchange.request;
      const deadline = exchange.isGrpc ? boundCall(exchange, carrier, clock) : null;
      if (deadline !== null) deadlines.set(exchange, deadline);
      // An upgraded connection has no end to wait for; a body may have come whole before.
      if (upgrade === null && (!hasBody || exchange.requestEndedMs > 0)) start(exchange, carrier);
      const policy = exchange.route?.retry?.policy ?? usual;
      const body = { hasBody, contentLength, mayBeRefused: version === 'http2' };
      if (keepsBody(policy, body)) carrier.keepBody(new BodyKeeper(policy.keptBodyBytesMax, bodies));
      return NEXT;
    },
    attempt(exchange, attempt, carrier) {
      attempt.deadlineMs = deadlineOf(exchange, deadlines.peek(exchange));
      const isWhole = exchange.requestEndedMs > 0 && exchange.request.upgrade === null;
      if (isWhole && exchange.route?.backendTimeoutMs != null) boundTry(exchange, attempt, carrier, parts);
      return NEXT;
    },
    attemptFailed: (exchange, attempt, problem, carrier) => decide(exchange, attempt, failureOf(problem), carrier),
    attemptAnswered(exchange, attempt, head, carrier) {
      const retry = exchange.route?.retry ?? null;
      if (retry === null || !isFailure(retry, head)) return TAKEN;
      return decide(exchange, attempt, 'status', carrier);
    },
    // W39: a slow upload is the client's own time; only what the endpoint takes is bounded.
    requestEnded: start,
    end(exchange) {
      if (exchange.route?.requestTimeoutMs != null) timers.peek(exchange)?.();
      deadlines.peek(exchange)?.cancel();
      // Of most requests there is one try.
      if ((exchange.attempt?.number ?? 1) > 1) retrying.peek(exchange)?.retryOver();
    },
  };
}

/** A gRPC response that has its status in its head is nothing but that. */
function isFailure({ codes, grpcStatuses }: RouteRetry, { status, headers }: ResponseHead): boolean {
  if (codes.has(status)) return true;
  const grpcStatus = grpcStatuses === null ? null : headers.get('grpc-status');
  return grpcStatus !== null && grpcStatuses?.has(Number(grpcStatus)) === true;
}

/** Whether a try is followed by another one, and after which pause. */
type Decide = (exchange: Exchange, attempt: Attempt, failure: AttemptFailure, carrier: Carrier) => AttemptDecision;

function decider(
  { effects: { clock, random }, counters, attempts: usual }: StageParts,
  retrying: Slot<Exchange, Cluster>,
): Decide {
  // A request counts as sent again until it is over, or is so once more.
  const mayRetry = (exchange: Exchange, { number, cluster }: Attempt): boolean => {
    if (number > 1) {
      retrying.peek(exchange)?.retryOver();
      retrying.forget(exchange);
    }
    if (cluster?.enterRetry() === false) return false;
    if (cluster !== null) retrying.set(exchange, cluster);
    return true;
  };
  return (exchange, attempt, failure, carrier) => {
    const { number, deadlineMs } = attempt;
    const retry = exchange.route?.retry ?? null;
    const decision = decideAttempt(
      {
        failure,
        isSafe: isSafeMethod(exchange.method),
        isRepeatable: isRepeatableMethod(exchange.method),
        tryNumber: number,
        body: carrier.body,
        responseBegun: carrier.responseBegun,
        remainingMs: deadlineMs === null ? null : deadlineMs - clock.monotonicMs(),
        pauseMs: retry === null ? 0 : retryPauseMs(number, retry.pause, random),
      },
      retry?.policy ?? usual,
    );
    if (decision.kind === 'give-up') {
      if (decision.why === 'tries-spent' && retry !== null) exchange.retryFlag = 'URX';
      return decision;
    }
    if (!mayRetry(exchange, attempt)) {
      exchange.retryFlag = 'UO';
      return OVERFLOWED;
    }
    counters.upstreamRetries++;
    return decision;
  };
}

/** From now on the try has its route's time. */
function boundTry(exchange: Exchange, attempt: Attempt, carrier: Carrier, { effects: { clock, mishaps } }: StageParts): void {
  const timeoutMs = exchange.route?.backendTimeoutMs ?? 0;
  attempt.cancelTimer = clock.after(timeoutMs, () => {
    if (exchange.over || exchange.attempt !== attempt) return;
    try {
      carrier.abandon();
      carrier.fail(TOO_SLOW);
    } catch (error) {
      mishaps.report('request', error);
      carrier.giveUp();
    }
  });
}

/** When a call ends, by the time that it brought. */
type Deadline = { readonly atMs: number; readonly cancel: Cancel };

/** W41: from its beginning on, however long its messages go on; null: it brought none. */
function boundCall({ request, startedMs }: Exchange, carrier: Carrier, clock: Clock): Deadline | null {
  const timeoutMs = readGrpcTimeout(request.headers.get('grpc-timeout'));
  if (timeoutMs === null || timeoutMs > TIMER_MS_MAX) return null;
  const atMs = startedMs + timeoutMs;
  return { atMs, cancel: clock.after(Math.max(0, atMs - clock.monotonicMs()), () => carrier.timeOut(REPLY.deadline)) };
}

/** Null as long as the request is not complete, or if its route sets no bound; and the call has none. */
function deadlineOf({ route, requestEndedMs }: Exchange, call: Deadline | null): number | null {
  const timeoutMs = route?.requestTimeoutMs ?? null;
  const ofRoute = timeoutMs === null || requestEndedMs === 0 ? null : requestEndedMs + timeoutMs;
  return ofRoute === null || call === null ? (ofRoute ?? call?.atMs ?? null) : Math.min(ofRoute, call.atMs);
}

/** What a problem means for whether the request may be sent again. */
function failureOf({ kind, staleConnection, unprocessed }: UpstreamProblem): AttemptFailure {
  if (kind === 'connect-failure' || kind === 'connect-timeout') return 'never-sent';
  if (kind === 'too-slow' || kind === 'overflow') return kind;
  if (unprocessed) return 'not-processed';
  // What is left may have had its effect, so only a route that asks for it may have it sent again.
  return staleConnection ? 'stale' : 'perhaps-processed';
}
