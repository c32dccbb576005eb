import http2, { type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2';
import type { ByteStream } from '#model/effects/byte-stream.ts';
import { HTTP2 } from '#model/settings/http.ts';
import type { PathNormalization } from '#model/waypoint/config.ts';
import { StringHeaders } from '#protocol/http/header-block.ts';
import { HEADER } from '#protocol/http/header-names.ts';
import type { RequestHandler, RequestHead, ServerConnection } from '#protocol/http/message.ts';
import { isAuthority, normalizeTarget } from '#protocol/http/target.ts';
import { asDuplex } from '#protocol/stream/duplex.ts';
import { readHeaders, SESSION_LIMITS, takeContentLength } from './node-headers.testing.ts';
import { Http2ServerStream } from './node-server-stream.testing.ts';

const { NGHTTP2_ENHANCE_YOUR_CALM, NGHTTP2_FLAG_END_STREAM, NGHTTP2_INTERNAL_ERROR } = http2.constants;

/** Serves HTTP/2 on a stream whose next bytes are the client preface. */
export function acceptHttp2(stream: ByteStream, handler: RequestHandler, early: Buffer | null): ServerConnection {
  const duplex = asDuplex(stream);
  if (early !== null) duplex.unshift(early);
  const session = http2.performServerHandshake(duplex, {
    ...SESSION_LIMITS,
    maxHeaderListPairs: HTTP2.headerPairsMax,
    maxSessionRejectedStreams: 1_000_000,
    streamResetBurst: HTTP2.resetBurst,
    streamResetRate: HTTP2.resetsPerSecond,
    settings: {
      maxConcurrentStreams: HTTP2.concurrentStreamsMax,
      initialWindowSize: HTTP2.streamWindowBytes,
      maxHeaderListSize: HTTP2.headerListBytesMax,
    },
  });
  return new Http2ServerConnection(session, handler);
}

class Http2ServerConnection implements ServerConnection {
  readonly #session: ServerHttp2Session;
  readonly #handler: RequestHandler;
  #open = 0;
  #idleRounds = 0;
  /** When the last ones were withdrawn, oldest first. */
  #prematureMs: number[] = [];

  constructor(session: ServerHttp2Session, handler: RequestHandler) {
    this.#session = session;
    this.#handler = handler;
    // nghttp2 begins with 64 KiB for all streams together: one that nobody reads would stop the others.
    session.setLocalWindowSize(HTTP2.connectionWindowBytes);
    session.on('error', () => {}); // each of its streams hears of it by itself
    // The raw list: the object that comes first has lost the order, and has joined what was sent twice.
    session.on('stream', (stream, _headers, flags, rawHeaders: string[]) => {
      try {
        this.#onStream(stream, flags, rawHeaders);
      } catch (error) {
        this.#handler.onMistake(error);
        stream.close(NGHTTP2_INTERNAL_ERROR);
      }
    });
  }

  drain(): void {
    // GOAWAY: streams under way go on, and the last one closes the connection.
    if (!this.#session.closed) this.#session.close();
  }

  closeIfIdle(roundsMax: number): void {
    if (this.#open > 0) this.#idleRounds = 0;
    else if (++this.#idleRounds > roundsMax) this.drain();
  }

  destroy(): void {
    this.#session.destroy();
  }

  #onStream(stream: ServerHttp2Stream, flags: number, rawHeaders: string[]): void {
    this.#idleRounds = 0;
    this.#watch(stream);
    const ended = (flags & NGHTTP2_FLAG_END_STREAM) !== 0;
    const head = readRequestHead(rawHeaders, ended, this.#handler.pathNormalization);
    const half = new Http2ServerStream(stream, pseudo(rawHeaders, ':method') ?? '', (error) => this.#handler.onMistake(error));
    if (typeof head !== 'string') {
      half.listen(this.#handler.onRequest(head, half), head.hasBody ? head.contentLength : null);
      return;
    }
    half.respond({ status: 400, headers: new StringHeaders(['content-type', 'text/plain']), contentLength: null }, false);
    half.write(Buffer.from(head));
    half.end(null);
    this.#handler.onProblem({ status: 400, details: head });
  }

  #watch(stream: ServerHttp2Stream): void {
    const openedMs = performance.now();
    this.#open++;
    stream.on('close', () => {
      this.#open--;
      const nowMs = performance.now();
      if (!stream.headersSent && nowMs - openedMs < HTTP2.prematureWithinMs) this.#countPremature(nowMs);
    });
  }

  /** A client may withdraw what takes too long; withdrawing at once, again and again, only costs us (W74). */
  #countPremature(nowMs: number): void {
    this.#prematureMs = [...this.#prematureMs.slice(1 - HTTP2.prematureResetsMax), nowMs];
    const [oldest = nowMs] = this.#prematureMs;
    const tooFast = this.#prematureMs.length >= HTTP2.prematureResetsMax && nowMs - oldest < HTTP2.prematureWithinMs;
    if (!tooFast || this.#session.destroyed) return;
    const details = `${HTTP2.prematureResetsMax} requests withdrawn within ${HTTP2.prematureWithinMs} ms`;
    this.#session.goaway(NGHTTP2_ENHANCE_YOUR_CALM, 0, Buffer.from(details));
    this.#session.destroy();
    this.#handler.onProblem({ status: 0, details: `http2.too_many_resets: ${details}` });
  }
}

/** A head, or what is wrong with it (nghttp2 has already refused what the protocol itself forbids). */
function readRequestHead(rawHeaders: readonly string[], end: boolean, level: PathNormalization): RequestHead | string {
  const headers = readHeaders(rawHeaders);
  const method = pseudo(rawHeaders, ':method') ?? '';
  // RFC 9113 8.3.1: without :authority the host header stands for it; with it, it wins.
  const authority = pseudo(rawHeaders, ':authority') ?? headers.getById(HEADER.host) ?? '';
  const path = pseudo(rawHeaders, ':path');
  headers.dropId(HEADER.host);
  if (!/^[!#$%&'*+\-.^_`|~0-9A-Z]+$/.test(method)) return 'http2.method_not_upper_case';
  if (!isAuthority(authority)) return 'missing_host_header';
  const isAsterisk = path === '*' && method === 'OPTIONS';
  const target = method === 'CONNECT' ? authority : isAsterisk ? path : normalizeTarget(path ?? '', level);
  if (target === null) return 'path_normalization_failed';
  const contentLength = takeContentLength(headers);
  if (end && contentLength !== null && contentLength > 0) return 'http2.content_length_without_body';
  return {
    version: 'http2',
    method,
    target,
    authority,
    headers,
    hasBody: !end,
    contentLength: end ? null : contentLength,
    upgrade: null,
  };
}

function pseudo(rawHeaders: readonly string[], name: string): string | null {
  // They come first.
  for (let at = 0; rawHeaders[at]?.startsWith(':'); at += 2) if (rawHeaders[at] === name) return rawHeaders[at + 1] ?? null;
  return null;
}
