import type { Http2Engine } from '#protocol/http/message.ts';
import { connectHttp2 } from './client.ts';
import { acceptHttp2 } from './server.ts';

/**
 * HTTP/2 of waypoints, by node:http2 (nghttp2). Tunnels run on a codec of our own (protocol/http/v2), for which node:http2
 * serves the tests as the oracle. Waypoints stay on this one until the I/O core moves them to the own codec, too;
 * `Http2Engine` is where the two are exchanged.
 */
export const nodeHttp2: Http2Engine = { accept: acceptHttp2, connect: connectHttp2 };
