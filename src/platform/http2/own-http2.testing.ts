import type { Clock } from '#model/effects/clock.ts';
import type { Http2Engine } from '#protocol/http/message.ts';
import { connectHttp2 } from '#protocol/http/v2/client-connection.ts';
import { acceptHttp2 } from '#protocol/http/v2/server-connection.ts';

/** HTTP/2 of waypoints, by the codec that carries tunnels as well (protocol/http/v2). */
export function ownHttp2(clock: Clock): Http2Engine {
  return {
    accept: (stream, handler, early) => acceptHttp2(stream, handler, clock, early),
    connect: (stream, owner) => connectHttp2(stream, owner, clock),
  };
}
