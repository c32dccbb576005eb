import type { Clock } from '#model/effects/clock.ts';
import type { HeaderBlock } from '#protocol/http/header-block.ts';
import { HEADER } from '#protocol/http/header-names.ts';
import type { ResponseHead } from '#protocol/http/message.ts';
import type { Exchange } from '#waypoint/exchange/exchange.ts';
import { REPLY } from '#waypoint/exchange/local-reply.ts';
import { NEXT, replyWith, type Stage, type StageParts } from '#waypoint/exchange/stage.ts';
import type { WaypointEffects } from '#waypoint/self/effects.ts';

/** What Envoy puts there is its own name; so do we, so that a person sees who answered. */
const SERVER = 'weft';
/** Fixed by RFC 6455 4.1. */
const KEY_BYTES = 16;

/**
 * Gives the request its id and removes what only we may say (docs/rules/waypoint.md); marks the response as ours.
 * The client's identity is the connection's: no header can claim another.
 */
export function identifyStage({ effects }: StageParts): Stage {
  const date = dateSource(effects.clock);
  return {
    name: 'identify',
    request(exchange) {
      exchange.requestId = cleanRequest(exchange.request.headers) ?? addRequestId(exchange, effects.newUuid());
      // W30; and a CONNECT inside the mesh has no route.
      if (exchange.method === 'CONNECT') return replyWith(REPLY.noRoute);
      // Of an extended CONNECT: any other protocol would pass as bytes that no policy has seen.
      const { upgrade } = exchange.request;
      if (upgrade === null) return NEXT;
      if (upgrade !== 'websocket') return replyWith(REPLY.upgradeRefused);
      if (isExtendedConnect(exchange)) shakeHands(exchange, effects);
      return NEXT;
    },
    response(exchange, head, local) {
      signResponse(exchange, head, local, date);
      if (head.status === 101 && isExtendedConnect(exchange)) head.headers.remove('sec-websocket-accept');
    },
  };
}

function isExtendedConnect({ request }: Exchange): boolean {
  return request.version === 'http2' && request.upgrade !== null;
}

/** A WebSocket over HTTP/2 has no key (RFC 8441 5), and servers of HTTP/1.1 want one. */
function shakeHands({ request }: Exchange, { randomBytes }: Pick<WaypointEffects, 'randomBytes'>): void {
  request.headers.set('sec-websocket-key', Buffer.from(randomBytes(KEY_BYTES)).toString('base64'));
}

/** W9, W11; returns the request id if there is one. */
function cleanRequest(headers: HeaderBlock): string | null {
  let requestId: string | null = null;
  let protoKnown = false;
  for (let index = 0; index < headers.receivedCount(); index++) {
    switch (headers.idAt(index)) {
      case HEADER.callerHint:
      case HEADER.forwardedClientCert:
        headers.drop(index);
        break;
      case HEADER.requestId:
        requestId ??= headers.valueAt(index);
        break;
      case HEADER.forwardedProto:
        protoKnown = true;
        break;
      default:
        break;
    }
  }
  // Inside the mesh the encryption is ours and not the client's: what it sent was plain HTTP.
  if (!protoKnown) headers.add('x-forwarded-proto', 'http');
  return requestId;
}

function addRequestId(exchange: Exchange, id: string): string {
  exchange.request.headers.add('x-request-id', id);
  return id;
}

/** W13: server, date, and the milliseconds the upstream took. */
function signResponse(exchange: Exchange, { headers, status }: ResponseHead, local: boolean, date: () => string): void {
  let dated = false;
  for (let index = 0; index < headers.receivedCount(); index++) {
    switch (headers.idAt(index)) {
      case HEADER.server:
      case HEADER.upstreamServiceTime:
        headers.drop(index);
        break;
      case HEADER.date:
        dated = true;
        break;
      default:
        break;
    }
  }
  headers.add('server', SERVER);
  if (!dated) headers.add('date', date());
  const known = !local && status !== 101 && exchange.requestEndedMs > 0;
  if (known) headers.add('x-envoy-upstream-service-time', String(exchange.respondedMs - exchange.requestEndedMs));
}

/** The HTTP date, written anew once a second. */
function dateSource(clock: Clock): () => string {
  let second = 0;
  let text = '';
  return () => {
    const now = Math.floor(clock.nowMs() / 1_000);
    if (now !== second) {
      second = now;
      text = new Date(now * 1_000).toUTCString();
    }
    return text;
  };
}
