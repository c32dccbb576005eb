import type { Mishaps } from '#model/effects/mishaps.ts';
import type { Attempt } from '#waypoint/exchange/attempt.ts';
import type { Carrier } from '#waypoint/exchange/carrier.ts';
import type { Exchange } from '#waypoint/exchange/exchange.ts';
import { noHealthyUpstream } from '#waypoint/exchange/local-reply.ts';
import { CARRIED, replyWith, type Stage, type StageParts } from '#waypoint/exchange/stage.ts';
import type { Acquired, ConnectionPool } from '#waypoint/upstream/connection-pool.ts';

/** Gets a connection to the endpoint of a try and sends the request on. */
export function transportStage({ effects, upstreams }: StageParts): Stage {
  return {
    name: 'transport',
    attempt(exchange, attempt, carrier) {
      const { endpoint } = attempt;
      if (endpoint === null) return replyWith(noHealthyUpstream(exchange));
      const { principal, client } = exchange.connection;
      send({ exchange, attempt, carrier, pool: upstreams.pool(endpoint, principal, client) }, effects.mishaps);
      return CARRIED;
    },
  };
}

type Sending = { exchange: Exchange; attempt: Attempt; carrier: Carrier; pool: ConnectionPool };

function send(sending: Sending, mishaps: Mishaps): void {
  const { attempt, carrier, pool } = sending;
  const acquired = pool.acquire(attempt.version, attempt.freshConnection);
  // Most requests find an idle connection and go on in the same turn.
  if (acquired instanceof Promise) {
    acquired
      .then((outcome) => arrive(sending, outcome, mishaps))
      .catch((error: unknown) => {
        mishaps.report('upstream', error);
        carrier.giveUp();
      });
  } else carrier.attach(acquired);
}

function arrive(sending: Sending, outcome: Acquired, mishaps: Mishaps): void {
  const { exchange, attempt, carrier, pool } = sending;
  // The client may have left meanwhile, or the try been given up: the next one can use the connection.
  const awaited = !exchange.over && exchange.attempt === attempt;
  if (outcome.kind === 'failed') {
    if (awaited) carrier.fail(outcome.problem);
  } else if (!awaited) pool.onIdle(outcome.connection);
  // Others waited for the same connection, and have filled it: one request more is one that its peer would refuse.
  else if (outcome.connection.capacity() === 0 && !outcome.connection.isIdle()) send(sending, mishaps);
  else carrier.attach(outcome.connection);
}
