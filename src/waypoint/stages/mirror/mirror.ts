import { pickLeastLoaded } from '#model/balancing/least-request.ts';
import type { RouteMirror } from '#model/routing/backends.ts';
import { WAYPOINT } from '#model/settings/waypoints.ts';
import { StringHeaders } from '#protocol/http/header-block.ts';
import { headerIdOf } from '#protocol/http/header-names.ts';
import type { RequestHead } from '#protocol/http/message.ts';
import { type Exchange, upstreamHead } from '#waypoint/exchange/exchange.ts';
import { NEXT, type Stage, type StageParts } from '#waypoint/exchange/stage.ts';
import { MirroredRequest } from '#waypoint/upstream/mirrored-request.ts';
import { familyFor } from '#waypoint/upstream/upstreams.ts';
import { upstreamVersion } from '#waypoint/upstream/version.ts';

/** Sends copies of requests, as the rule has changed them, to other services. What comes of them changes nothing (W62). */
export function mirrorStage(parts: StageParts): Stage {
  const copies = parts.perExchange.add<readonly MirroredRequest[]>();
  // Of the waypoint: many routes that mirror must not add up to all of its memory.
  let open = 0;
  const begin = (exchange: Exchange, mirror: RouteMirror): MirroredRequest | null => {
    if (open >= WAYPOINT.mirrorsMax) {
      parts.counters.mirrorsDropped++;
      return null;
    }
    open++;
    return copyTo(exchange, mirror, parts, () => open--);
  };
  return {
    name: 'mirror',
    request(exchange, carrier) {
      const mirrors = exchange.route?.mirrors ?? null;
      // What comes after an upgrade is a conversation, of which there is no copy.
      if (mirrors === null || exchange.request.upgrade !== null) return NEXT;
      const drawn = mirrors.filter(({ numerator, denominator }) => parts.effects.random() * denominator < numerator);
      const begun = drawn.map((mirror) => begin(exchange, mirror)).filter((copy) => copy !== null);
      if (begun.length === 0) return NEXT;
      copies.set(exchange, begun);
      if (exchange.request.hasBody) {
        carrier.tap = (data) => {
          for (const copy of begun) copy.take(data);
        };
      }
      for (const copy of begun) copy.start();
      // What was taken in before is no news to the tap.
      const gathered = carrier.gathered;
      if (gathered !== null && gathered.length > 0) for (const copy of begun) copy.take(gathered);
      if (exchange.request.hasBody && exchange.requestEndedMs > 0) for (const copy of begun) copy.end();
      return NEXT;
    },
    requestEnded(exchange) {
      if (exchange.route?.mirrors == null) return;
      for (const copy of copies.peek(exchange) ?? []) copy.end();
    },
    // A copy that has all of its request goes on by itself; of the others the rest will never come.
    end(exchange) {
      if (exchange.route?.mirrors == null || exchange.requestEndedMs > 0) return;
      for (const copy of copies.peek(exchange) ?? []) copy.abandon();
    },
  };
}

/** Which counter counts which end of a copy. */
const COUNTER = { answered: 'mirrorsAnswered', failed: 'mirrorsFailed', dropped: 'mirrorsDropped' } as const;

/** Null when its service has no endpoint; `close` is called once, when the copy is over. */
function copyTo(exchange: Exchange, mirror: RouteMirror, parts: StageParts, close: () => void): MirroredRequest | null {
  const { upstreams, clusters, counters, effects } = parts;
  const { connection, route } = exchange;
  const service = upstreams.service(mirror.service, mirror.port, familyFor(connection.destination.address), mirror.subset);
  const endpoint = service === null ? null : pickLeastLoaded(service.set, effects.random);
  if (service === null || endpoint === null) {
    close();
    counters.mirrorsFailed++;
    return null;
  }
  endpoint.active++;
  // Of what is said of its service, nothing holds for a copy but how its endpoint is spoken to.
  const cluster = clusters.of(exchange.bound, mirror.service, mirror.port, mirror.subset);
  const copy: MirroredRequest = new MirroredRequest(
    ownHead(upstreamHead(exchange)),
    {
      pool: upstreams.pool(endpoint, connection.principal, connection.client, cluster?.tls ?? null),
      version: upstreamVersion(service.appProtocol, exchange.request),
      cancelTimer: effects.clock.after(route?.requestTimeoutMs ?? WAYPOINT.mirrorMs, () => copy.abandon()),
    },
    (outcome) => {
      close();
      endpoint.active--;
      counters[COUNTER[outcome]]++;
    },
  );
  return copy;
}

/** The engine uses the memory of a head again once the request has been sent; nobody waits for the copy's upstream to agree. */
function ownHead(head: RequestHead): RequestHead {
  const headers = new StringHeaders(head.headers.toPairs(), headerIdOf);
  headers.remove('expect');
  return { ...head, headers };
}
