import type { Cancel } from '#model/effects/clock.ts';
import { type AttemptFailure, decideAttempt, isSafeMethod, keepsBody } from '#model/resilience/attempts.ts';
import type { UpstreamProblem } from '#protocol/http/message.ts';
import { BodyKeeper, KeptBodies } from '#waypoint/exchange/body-keeper.ts';
import type { Carrier } from '#waypoint/exchange/carrier.ts';
import type { Exchange } from '#waypoint/exchange/exchange.ts';
import { NEXT, type Stage, type StageParts } from '#waypoint/exchange/stage.ts';

/** Bounds requests in time (a route's timeout runs from the end of the request, W39), and owns how often they are tried. */
export function resilienceStage({ effects: { clock }, counters, attempts: policy, perExchange }: StageParts): Stage {
  const timers = perExchange.add<Cancel>();
  // One for the waypoint: many requests of allowed size must not add up to all of its memory.
  const bodies = new KeptBodies(policy.keptBodiesBytesMax);
  const start = (exchange: Exchange, carrier: Carrier): void => {
    const timeoutMs = exchange.route?.requestTimeoutMs ?? null;
    if (timeoutMs === null) return;
    const cancel = clock.after(timeoutMs, () => carrier.timeOut());
    timers.set(exchange, cancel);
    if (exchange.attempt !== null) exchange.attempt.deadlineMs = deadlineOf(exchange);
  };
  return {
    name: 'resilience',
    request(exchange, carrier) {
      const { hasBody, contentLength, upgrade, version } = exchange.request;
      // An upgraded connection has no end to wait for.
      if (!hasBody && upgrade === null) start(exchange, carrier);
      const body = { hasBody, contentLength, mayBeRefused: version === 'http2' };
      if (keepsBody(policy, body)) carrier.keepBody(new BodyKeeper(policy.keptBodyBytesMax, bodies));
      return NEXT;
    },
    attempt(exchange, attempt) {
      attempt.deadlineMs = deadlineOf(exchange);
      return NEXT;
    },
    attemptFailed(exchange, { number, deadlineMs }, problem, carrier) {
      const decision = decideAttempt(
        {
          failure: failureOf(problem),
          isSafe: isSafeMethod(exchange.method),
          tryNumber: number,
          body: carrier.body,
          responseBegun: carrier.responseBegun,
          remainingMs: deadlineMs === null ? null : deadlineMs - clock.monotonicMs(),
        },
        policy,
      );
      if (decision.kind === 'try-again') counters.upstreamRetries++;
      return decision;
    },
    // W39: a slow upload is the client's own time; only what the endpoint takes is bounded.
    requestEnded: start,
    end(exchange) {
      if (exchange.route?.requestTimeoutMs != null) timers.peek(exchange)?.();
    },
  };
}

/** Null as long as the request is not complete, or if its route sets no bound. */
function deadlineOf({ route, requestEndedMs }: Exchange): number | null {
  const timeoutMs = route?.requestTimeoutMs ?? null;
  return timeoutMs === null || requestEndedMs === 0 ? null : requestEndedMs + timeoutMs;
}

function failureOf({ kind, staleConnection, unprocessed }: UpstreamProblem): AttemptFailure {
  if (kind === 'connect-failure' || kind === 'connect-timeout') return 'never-sent';
  if (unprocessed) return 'not-processed';
  // What is left may have had its effect, so only a route that asks for it may have it sent again.
  return staleConnection ? 'stale' : 'perhaps-processed';
}
