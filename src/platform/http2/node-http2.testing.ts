import type { Http2Engine } from '#protocol/http/message.ts';
import { connectHttp2 } from './node-client.testing.ts';
import { acceptHttp2 } from './node-server.testing.ts';

/** HTTP/2 by node:http2 (nghttp2): the oracle of our own engine, in tests only. */
export const nodeHttp2: Http2Engine = { accept: acceptHttp2, connect: connectHttp2 };
