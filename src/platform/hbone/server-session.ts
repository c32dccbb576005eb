import type { IpAddress } from '#model/address/ip.ts';
import type { ByteStream } from '#model/effects/byte-stream.ts';
import type { Clock } from '#model/effects/clock.ts';
import type { Log } from '#model/effects/log.ts';
import type { Mishaps } from '#model/effects/mishaps.ts';
import type { Identity } from '#model/identity/identity.ts';
import type { Refusal } from '#model/telemetry/close-cause.ts';
import { HboneConnection } from '#platform/hbone/connection.ts';
import { readConnect, responseHeaders, TUNNEL_STATUS } from '#protocol/hbone/headers.ts';
import { HBONE_SERVER_SETTINGS } from '#protocol/hbone/settings.ts';
import type { InboundTunnel } from '#protocol/hbone/transport.ts';
import { ERROR_CODE, Http2Error } from '#protocol/http/v2/constants.ts';
import type { Field } from '#protocol/http/v2/field.ts';
import { readRequestHead } from '#protocol/http/v2/heads.ts';
import type { GrownWindows } from '#protocol/http/v2/receive-window.ts';
import { IGNORE, type StreamHandler } from '#protocol/http/v2/roles.ts';
import type { Http2Stream } from '#protocol/http/v2/stream.ts';
import type { Tunnel } from '#protocol/http/v2/tunnel.ts';

/** One established connection, for status pages; `tunnels` counts open streams. */
export type SessionInfo = { peer: Identity; remoteAddress: IpAddress; remotePort: number; tunnels: number };

/** A secured connection, who is at its other end, and who answers its tunnels. */
export type ServerSessionOptions = {
  stream: ByteStream;
  peer: Identity;
  /** Of all sessions of the server. */
  grown: GrownWindows;
  clock: Clock;
  log: Log;
  mishaps: Mishaps;
  onTunnel(tunnel: InboundTunnel): void | Promise<void>;
  /** The client has begun HTTP/2. */
  ready(): void;
  closed(): void;
};

/** One established connection of a client. */
export type ServerSession = {
  info(): SessionInfo;
  /** No new tunnels; closes when the last has ended. */
  retire(): void;
  /** Cuts it; `why`: what its tunnels are told. */
  destroy(why?: Refusal): void;
};

/** Serves HTTP/2 on a secured connection until it closes; our settings go out at once. */
export function startSession(options: ServerSessionOptions): ServerSession {
  const { stream: bytes, peer, clock, log, mishaps } = options;
  const { remote } = bytes;
  let retired = false;
  // A retired session ends with its last tunnel, which may be now.
  const endIfUnused = () => {
    if (retired && connection.http2.streams === 0) connection.finish(null);
  };
  const connection: HboneConnection = new HboneConnection(bytes, {
    role: 'server',
    settings: HBONE_SERVER_SETTINGS,
    grown: options.grown,
    clock,
    mishaps,
    events: {
      ready: options.ready,
      request: (stream, headers, ended) => openTunnel(connection, options, stream, headers, ended),
      goaway() {},
      streamClosed: endIfUnused,
      closed: (error) => {
        if (error instanceof Http2Error)
          log.warn(
            { 'src.addr': remote.ip, cause: 'protocol-error', err: error },
            'HBONE connection ended: its peer broke the rules',
          );
        else if (error !== null) log.debug({ 'src.addr': remote.ip, err: error }, 'HBONE connection closed');
        options.closed();
      },
    },
  });
  connection.start();
  return {
    info: () => ({ peer, remoteAddress: remote.ip, remotePort: remote.port, tunnels: connection.http2.streams }),
    // Not before the peer knows: a tunnel that it opens meanwhile would end without an answer, and nobody tries that again.
    retire: () =>
      connection.retire('the node proxy is being replaced', () => {
        retired = true;
        endIfUnused();
      }),
    destroy: (why) => connection.destroy(why ?? null),
  };
}

/** Answers what cannot be a tunnel, hands the rest to the owner. */
function openTunnel(
  connection: HboneConnection,
  options: ServerSessionOptions,
  stream: Http2Stream,
  headers: readonly Field[],
  ended: boolean,
): StreamHandler {
  const request = readConnect(headers);
  if (request.kind === 'malformed' || (request.kind === 'other' && isMalformed(request.method, headers, ended))) {
    // RFC 9113 8.1.1: malformed is an error of the stream, the connection goes on.
    stream.reset(ERROR_CODE.protocolError);
    return IGNORE;
  }
  if (request.kind === 'other') {
    refuse(stream, TUNNEL_STATUS.badRequest, ended);
    return IGNORE;
  }
  const bytes = connection.tunnel(stream);
  const tunnel = new PendingTunnel(stream, bytes);
  const { authority, baggage, forwarded, traceparent } = request;
  const inbound: InboundTunnel = {
    authority,
    peer: options.peer,
    remoteAddress: connection.remote.ip,
    remotePort: connection.remote.port,
    localAddress: connection.local.ip,
    baggage,
    forwarded,
    traceparent,
    accept: (responseBaggage) => tunnel.accept(responseBaggage),
    refuse: (status) => tunnel.refuse(status),
  };
  // The owner dials the app meanwhile; bytes that the client sends before the answer wait in the stream's window.
  runOwner(options, inbound).catch((error: unknown) => options.mishaps.report('tunnel', error));
  return bytes.handler;
}

/** Whether it would be no request anywhere, before it is none here. */
function isMalformed(method: string, headers: readonly Field[], ended: boolean): boolean {
  return method !== 'CONNECT' && readRequestHead(headers, ended, 'NONE').kind === 'malformed';
}

async function runOwner(options: ServerSessionOptions, tunnel: InboundTunnel): Promise<void> {
  try {
    await options.onTunnel(tunnel);
  } catch (error) {
    // Without an answer the client would wait for its whole time limit.
    options.mishaps.report('tunnel', error, { authority: tunnel.authority });
    tunnel.refuse(TUNNEL_STATUS.unavailable);
  }
}

/** A CONNECT that is answered once: later answers are ignored. */
class PendingTunnel {
  readonly #stream: Http2Stream;
  readonly #bytes: Tunnel;
  #answered = false;

  constructor(stream: Http2Stream, bytes: Tunnel) {
    this.#stream = stream;
    this.#bytes = bytes;
  }

  accept(responseBaggage: string): ByteStream {
    if (!this.#answered) this.#stream.sendHeaders(responseHeaders(TUNNEL_STATUS.open, responseBaggage), false);
    this.#answered = true;
    return this.#bytes;
  }

  refuse(status: number): void {
    if (this.#answered) return;
    this.#answered = true;
    refuse(this.#stream, status, this.#stream.remoteEnded);
    // Its bytes will not be read: they must not go on filling the connection's window.
    this.#bytes.reset();
  }
}

function refuse(stream: Http2Stream, status: number, remoteEnded: boolean): void {
  stream.sendHeaders(responseHeaders(status, ''), true);
  // The answer is complete; what the client still sends is not wanted (RFC 9113 section 8.1).
  if (!remoteEnded) stream.reset(ERROR_CODE.noError);
}
