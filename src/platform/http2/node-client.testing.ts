import http2, { type ClientHttp2Session } from 'node:http2';
import type { ByteStream } from '#model/effects/byte-stream.ts';
import { HTTP2 } from '#model/settings/http.ts';
import type { ClientConnection, ClientEvents, ClientOwner, ClientStream, RequestHead } from '#protocol/http/message.ts';
import { asDuplex } from '#protocol/stream/duplex.ts';
import { Http2ClientStream } from './node-client-stream.testing.ts';
import { SESSION_LIMITS, writeHeaders } from './node-headers.testing.ts';

/** Starts an HTTP/2 client connection on a fresh stream. */
export function connectHttp2(stream: ByteStream, owner: ClientOwner): ClientConnection {
  // The name is never resolved or sent: the stream is connected, and each request brings its own :authority.
  const session = http2.connect('http://upstream', {
    createConnection: () => asDuplex(stream),
    ...SESSION_LIMITS,
    maxHeaderListPairs: HTTP2.headerPairsMax,
    peerMaxConcurrentStreams: HTTP2.upstreamStreamsMax,
    settings: { enablePush: false, initialWindowSize: HTTP2.streamWindowBytes, maxHeaderListSize: HTTP2.headerListBytesMax },
  });
  return new Http2ClientConnection(session, owner);
}

class Http2ClientConnection implements ClientConnection {
  readonly #session: ClientHttp2Session;
  readonly #owner: ClientOwner;
  #open = 0;
  #retiring = false;

  constructor(session: ClientHttp2Session, owner: ClientOwner) {
    this.#session = session;
    this.#owner = owner;
    session.on('remoteSettings', () => this.#owner.onIdle(this));
    session.on('connect', () => session.setLocalWindowSize(HTTP2.connectionWindowBytes));
    session.on('error', () => {}); // each of its streams hears of it by itself
    session.on('goaway', () => this.retire());
    session.on('close', () => {
      this.#retiring = true;
      this.#owner.onClosed(this);
    });
  }

  capacity(): number {
    if (this.#retiring || this.#session.closed || this.#session.destroyed) return 0;
    // Until the peer's settings have come, our own bound is all there is; a stream too many would be refused by it.
    const allowed = this.#session.connecting
      ? HTTP2.upstreamStreamsMax
      : (this.#session.remoteSettings.maxConcurrentStreams ?? HTTP2.upstreamStreamsMax);
    return Math.max(0, Math.min(HTTP2.upstreamStreamsMax, allowed) - this.#open);
  }

  isIdle(): boolean {
    return this.#open === 0;
  }

  send(head: RequestHead, end: boolean, events: ClientEvents): ClientStream {
    const headers = writeHeaders(head.headers, {
      ':method': head.method,
      ':scheme': 'http',
      ':authority': head.authority,
      ':path': head.target,
    });
    if (head.contentLength !== null) headers['content-length'] = String(head.contentLength);
    try {
      // Whether there are trailers is known only when the body has ended: node has to wait for them.
      const stream = this.#session.request(headers, end ? { endStream: true } : { waitForTrailers: true });
      this.#open++;
      stream.on('close', () => this.#onStreamClosed());
      return new Http2ClientStream(stream, head, events, (error) => this.#owner.onMistake(error));
    } catch (error) {
      // The session has just gone, or a header cannot be sent in HTTP/2.
      return failedStream(error, events);
    }
  }

  retire(): void {
    if (this.#retiring) return;
    this.#retiring = true;
    this.#session.close();
  }

  #onStreamClosed(): void {
    this.#open--;
    if (!this.#retiring) this.#owner.onIdle(this);
  }
}

function failedStream(error: unknown, events: ClientEvents): ClientStream {
  let aborted = false;
  const details = error instanceof Error ? error.message : String(error);
  // Not at once: whoever asked has not got the stream yet that it would be told of.
  queueMicrotask(() => {
    if (!aborted) events.onFailure({ kind: 'local-reset', details, staleConnection: false, unprocessed: false });
  });
  return {
    write: () => true,
    end() {},
    flush() {},
    resume() {},
    abort() {
      aborted = true;
    },
  };
}
