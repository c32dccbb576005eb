import type { Cancel, Clock } from '#model/effects/clock.ts';
import type { Carrier } from '#waypoint/exchange/carrier.ts';
import type { Exchange } from '#waypoint/exchange/exchange.ts';
import { NEXT, type Stage } from '#waypoint/exchange/stage.ts';

/** Bounds requests in time: a route's timeout runs from the end of the request (W39). */
export function resilienceStage(clock: Clock): Stage {
  const running = new WeakMap<Exchange, Cancel>();
  const start = (exchange: Exchange, carrier: Carrier): void => {
    const timeoutMs = exchange.route?.requestTimeoutMs ?? null;
    if (timeoutMs !== null)
      running.set(
        exchange,
        clock.after(timeoutMs, () => carrier.timeOut()),
      );
  };
  return {
    name: 'resilience',
    request(exchange, carrier) {
      // An upgraded connection has no end to wait for.
      if (!exchange.request.hasBody && exchange.request.upgrade === null) start(exchange, carrier);
      return NEXT;
    },
    requestEnded: start,
    end(exchange) {
      if (exchange.route?.requestTimeoutMs != null) running.get(exchange)?.();
    },
  };
}
