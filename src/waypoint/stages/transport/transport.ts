import type { Carrier } from '#waypoint/exchange/carrier.ts';
import type { Exchange } from '#waypoint/exchange/exchange.ts';
import { REPLY } from '#waypoint/exchange/local-reply.ts';
import { CARRIED, replyWith, type Stage } from '#waypoint/exchange/stage.ts';
import type { Acquired, ConnectionPool } from '#waypoint/upstream/connection-pool.ts';
import type { Upstreams } from '#waypoint/upstream/upstreams.ts';

/** Gets a connection to the chosen endpoint and sends the request on. */
export function transportStage(upstreams: Upstreams): Stage {
  return {
    name: 'transport',
    request(exchange, carrier) {
      const { endpoint, connection } = exchange;
      if (endpoint === null) return replyWith(REPLY.noHealthyUpstream);
      const pool = upstreams.pool(endpoint, connection.principal, connection.client);
      const acquired = pool.acquire(exchange.upstreamVersion, carrier.retried);
      if (acquired instanceof Promise) acquired.then((outcome) => arrive(exchange, carrier, pool, outcome));
      else carrier.attach(acquired);
      return CARRIED;
    },
  };
}

function arrive(exchange: Exchange, carrier: Carrier, pool: ConnectionPool, outcome: Acquired): void {
  if (outcome.kind === 'failed') carrier.fail(outcome.problem);
  // The client may have left meanwhile: the next one can use the connection.
  else if (exchange.over) pool.onIdle(outcome.connection);
  else carrier.attach(outcome.connection);
}
