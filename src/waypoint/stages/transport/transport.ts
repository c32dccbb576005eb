import type { Attempt } from '#waypoint/exchange/attempt.ts';
import type { Carrier } from '#waypoint/exchange/carrier.ts';
import type { Exchange } from '#waypoint/exchange/exchange.ts';
import { REPLY } from '#waypoint/exchange/local-reply.ts';
import { CARRIED, replyWith, type Stage, type StageParts } from '#waypoint/exchange/stage.ts';
import type { Acquired, ConnectionPool } from '#waypoint/upstream/connection-pool.ts';

/** Gets a connection to the endpoint of a try and sends the request on. */
export function transportStage({ effects, upstreams }: StageParts): Stage {
  return {
    name: 'transport',
    attempt(exchange, attempt, carrier) {
      const { endpoint } = attempt;
      if (endpoint === null) return replyWith(REPLY.noHealthyUpstream);
      const { principal, client } = exchange.connection;
      const pool = upstreams.pool(endpoint, principal, client);
      const acquired = pool.acquire(attempt.version, attempt.freshConnection);
      // Most requests find an idle connection and go on in the same turn.
      if (acquired instanceof Promise) {
        acquired
          .then((outcome) => arrive(exchange, attempt, carrier, pool, outcome))
          .catch((error: unknown) => {
            effects.mishaps.report('upstream', error);
            carrier.giveUp();
          });
      } else carrier.attach(acquired);
      return CARRIED;
    },
  };
}

function arrive(exchange: Exchange, attempt: Attempt, carrier: Carrier, pool: ConnectionPool, outcome: Acquired): void {
  // The client may have left meanwhile, or the try been given up: the next one can use the connection.
  const awaited = !exchange.over && exchange.attempt === attempt;
  if (outcome.kind === 'ready') {
    if (awaited) carrier.attach(outcome.connection);
    else pool.onIdle(outcome.connection);
  } else if (awaited) carrier.fail(outcome.problem);
}
