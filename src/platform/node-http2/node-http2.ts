import type { Http2Engine } from '#protocol/http/message.ts';
import { connectHttp2 } from './client.ts';
import { acceptHttp2 } from './server.ts';

/** HTTP/2 by node:http2 (nghttp2). */
export const nodeHttp2: Http2Engine = { accept: acceptHttp2, connect: connectHttp2 };
