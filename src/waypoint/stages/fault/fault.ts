import type { Cancel } from '#model/effects/clock.ts';
import { compileFault, drawFault, httpStatusOf, type Injected } from '#model/traffic/fault.ts';
import { type LocalReply, reply } from '#waypoint/exchange/local-reply.ts';
import { NEXT, replyWith, type Stage, type StageParts, type StageResult } from '#waypoint/exchange/stage.ts';
import { compileEach, trafficOf } from '#waypoint/exchange/traffic.ts';

/**
 * Delays and aborts a share of the requests (W60, W61). Before the request is routed on: what is injected takes nothing from a route's
 * time-out, and is never tried again. After policies and limits: who is refused is refused at once.
 */
export function faultStage({ effects: { clock, random }, state, perExchange }: StageParts): Stage {
  const faults = state.bindings.keep({
    make: (bound) => compileEach(bound, 'fault', (fault) => compileFault(fault, bound.problem)),
  });
  // A client that leaves takes its delay with it.
  const delays = perExchange.add<Cancel>();
  return {
    name: 'fault',
    request(exchange) {
      const said = trafficOf(exchange, 'fault');
      if (said === null || exchange.bound === null) return NEXT;
      const fault = faults.of(exchange.bound).get(said) ?? null;
      const injected = fault === null ? null : drawFault(fault, exchange, exchange.connection.client.identity, random);
      if (injected === null) return NEXT;
      if (injected.delayMs === 0) return resultOf(injected);
      // Shows in the log, unless something else comes of the request.
      exchange.details = 'fault_filter_delay';
      return new Promise((resolve) =>
        delays.set(
          exchange,
          clock.after(injected.delayMs, () => {
            // A route's time begins after the delay (W60).
            if (exchange.requestEndedMs > 0) exchange.requestEndedMs = clock.monotonicMs();
            resolve(resultOf(injected));
          }),
        ),
      );
    },
    end(exchange) {
      if (trafficOf(exchange, 'fault') !== null) delays.peek(exchange)?.();
    },
  };
}

/** After the delay, if there was one. */
function resultOf({ abort }: Injected): StageResult {
  return abort === null ? NEXT : replyWith(abortedBy(abort));
}

/** In the words of the client's protocol, whichever of the two was asked for. */
function abortedBy({ status, grpcStatus }: NonNullable<Injected['abort']>): LocalReply {
  const answer = reply(status ?? httpStatusOf(grpcStatus ?? 2), 'fault filter abort', 'FI', 'fault_filter_abort');
  return grpcStatus === null ? answer : { ...answer, grpcStatus };
}
