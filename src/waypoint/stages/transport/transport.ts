import type { Mishaps } from '#model/effects/mishaps.ts';
import type { ClientConnection } from '#protocol/http/message.ts';
import type { Attempt } from '#waypoint/exchange/attempt.ts';
import type { Carrier } from '#waypoint/exchange/carrier.ts';
import type { Exchange } from '#waypoint/exchange/exchange.ts';
import { noHealthyUpstream } from '#waypoint/exchange/local-reply.ts';
import { CARRIED, replyWith, type Stage, type StageParts } from '#waypoint/exchange/stage.ts';
import type { Cluster } from '#waypoint/upstream/cluster.ts';
import type { ConnectionPool } from '#waypoint/upstream/connection-pool.ts';
import { type Acquired, ANYBODY, type Asking } from '#waypoint/upstream/waiting-room.ts';

/** Gets a connection to the endpoint of a try and sends the request on. */
export function transportStage({ effects, upstreams }: StageParts): Stage {
  return {
    name: 'transport',
    attempt(exchange, attempt, carrier) {
      const { endpoint } = attempt;
      if (endpoint === null) return replyWith(noHealthyUpstream(exchange));
      const { principal, client } = exchange.connection;
      send(
        { exchange, attempt, carrier, pool: upstreams.pool(endpoint, principal, client, attempt.cluster?.tls ?? null) },
        effects.mishaps,
      );
      return CARRIED;
    },
  };
}

type Sending = { exchange: Exchange; attempt: Attempt; carrier: Carrier; pool: ConnectionPool };

function send(sending: Sending, mishaps: Mishaps): void {
  const { attempt, carrier, pool } = sending;
  const { cluster } = attempt;
  const asking = cluster === null ? ANYBODY : askingFor(cluster, () => isAwaited(sending));
  const acquired = pool.acquire(attempt.version, attempt.freshConnection, asking);
  // Most requests find an idle connection and go on in the same turn.
  if (acquired instanceof Promise) {
    acquired
      .then((outcome) => arrive(sending, outcome, mishaps))
      .catch((error: unknown) => {
        mishaps.report('upstream', error);
        carrier.giveUp();
      });
  } else attach(sending, acquired);
}

function arrive(sending: Sending, outcome: Acquired, mishaps: Mishaps): void {
  const { carrier, pool } = sending;
  // The client may have left meanwhile, or the try been given up: the next one can use the connection.
  const awaited = isAwaited(sending);
  if (outcome.kind === 'failed') {
    if (awaited) carrier.fail(outcome.problem);
  } else if (!awaited) pool.onIdle(outcome.connection);
  // Others waited for the same connection, and have filled it: one request more is one that its peer would refuse.
  else if (outcome.connection.capacity() === 0 && !outcome.connection.isIdle()) send(sending, mishaps);
  else attach(sending, outcome.connection);
}

function isAwaited({ exchange, attempt }: Sending): boolean {
  return !exchange.over && exchange.attempt === attempt;
}

function attach({ attempt, carrier, pool }: Sending, connection: ClientConnection): void {
  carrier.attach(connection);
  const requestsMax = attempt.cluster?.settings.circuitBreaker?.maxRequestsPerConnection ?? null;
  if (requestsMax !== null) pool.used(connection, requestsMax);
}

/** One request of a cluster, as its pool sees it. */
function askingFor(cluster: Cluster, isWanted: () => boolean): Asking {
  let waits = false;
  return {
    connection: cluster.settings.connection ?? null,
    mayOpen: () => cluster.mayOpen(),
    enterWait: () => (waits = cluster.enterWait()),
    waitOver() {
      if (waits) cluster.waitOver();
      waits = false;
    },
    isWanted,
  };
}
