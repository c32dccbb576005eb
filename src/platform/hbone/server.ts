import type net from 'node:net';
import type { TLSSocket } from 'node:tls';
import { formatAddress, tryParseIp } from '#model/address/ip.ts';
import type { Clock } from '#model/effects/clock.ts';
import type { Log } from '#model/effects/log.ts';
import type { Mishaps } from '#model/effects/mishaps.ts';
import type { Doorkeeper, Waiting } from '#model/guard/doorkeeper.ts';
import type { Credentials, Identity } from '#model/identity/identity.ts';
import { TUNNEL } from '#model/settings/tunnels.ts';
import { type CloseCause, DOOR_CAUSES, type DoorCause } from '#model/telemetry/close-cause.ts';
import { type ServerSession, type SessionInfo, type SocketEnds, startSession } from '#platform/hbone/server-session.ts';
import { TlsAcceptor } from '#platform/hbone/tls-acceptor.ts';
import { HBONE_ALPN } from '#protocol/hbone/settings.ts';
import type { InboundTunnel } from '#protocol/hbone/transport.ts';
import { peerIdentities, verifyClient } from '#protocol/identity/spiffe.ts';

/** Who the server is and who answers its tunnels. */
export type HboneServerOptions = {
  /** The server's current certificate; asked for each connection, so a renewed one is used at once. */
  credentials: () => Promise<Credentials>;
  /** Clients must have an identity of this trust domain (B3). */
  trustDomain: string;
  /** Answers one CONNECT; what it throws is logged and answered with 503. */
  onTunnel(tunnel: InboundTunnel): void | Promise<void>;
  /** A connection that never came to carry tunnels; it is in the log already. */
  onRefused?(cause: CloseCause): void;
  /** A place for a connection whose peer has shown who it is; null: there is none, which is told already. Without it there always is. */
  place?(): (() => void) | null;
  /** Bounds those who have not shown who they are; one for all servers of a process. */
  door: Doorkeeper;
  clock: Clock;
  log: Log;
  mishaps: Mishaps;
};

/** A running server; sockets are handed to it. */
export type HboneServer = {
  /** Serves HBONE on an accepted TCP socket, which it owns from here on. */
  handle(socket: net.Socket): void;
  /** Takes no new connections and tunnels; resolves when the last tunnel has ended or was cut after `deadlineMs` (B55). */
  drain(deadlineMs: number): Promise<void>;
  /** Cuts everything. */
  close(): void;
  /** The established connections. */
  sessions(): SessionInfo[];
};

/** The HBONE server of one identity: TLS 1.3 with client certificates, HTTP/2, CONNECT. It does not listen itself. */
export function createHboneServer(options: HboneServerOptions): HboneServer {
  return new Server(options);
}

function endsOf(socket: net.Socket): SocketEnds | null {
  const remoteAddress = tryParseIp(socket.remoteAddress ?? '');
  const localAddress = tryParseIp(socket.localAddress ?? '');
  if (remoteAddress === null || localAddress === null || socket.remotePort === undefined) return null;
  return { remoteAddress, remotePort: socket.remotePort, localAddress };
}

class Server implements HboneServer {
  readonly #options: HboneServerOptions;
  readonly #acceptor: TlsAcceptor;
  readonly #raw = new Set<net.Socket>();
  readonly #sessions = new Set<ServerSession>();
  #closing = false;
  #onEmpty: () => void = () => {};

  constructor(options: HboneServerOptions) {
    this.#options = options;
    this.#acceptor = new TlsAcceptor();
  }

  handle(socket: net.Socket): void {
    const ends = endsOf(socket);
    const full = this.#raw.size >= TUNNEL.sessionsMax;
    if (full) {
      this.#options.log.warn(
        { cause: 'too-many', connections: this.#raw.size },
        'HBONE connection refused: too many connections',
      );
      this.#options.onRefused?.('too-many');
    }
    if (ends === null || full || this.#closing) {
      socket.on('error', () => {}); // it is refused: how it ends is of no interest
      socket.destroy();
      return;
    }
    let isTurnedAway = false;
    const waiting = this.#options.door.enter(ends.remoteAddress, (cause) => {
      isTurnedAway = true;
      this.#turnAway(socket, ends, cause);
    });
    if (waiting === null) {
      this.#turnAway(socket, ends, 'too-fast');
      return;
    }
    this.#raw.add(socket);
    socket.once('close', () => {
      this.#raw.delete(socket);
      waiting.ended();
    });
    this.#serve(socket, ends, waiting).catch((error: unknown) => {
      if (isTurnedAway) return; // and told
      waiting.ended();
      socket.destroy();
      this.#options.onRefused?.('handshake-failed');
      this.#options.log.warn(
        { 'src.addr': formatAddress(ends.remoteAddress, ends.remotePort), cause: 'handshake-failed', err: error },
        'HBONE connection failed',
      );
    });
  }

  drain(deadlineMs: number): Promise<void> {
    this.#closing = true;
    const { promise, resolve } = Promise.withResolvers<void>();
    const cancelTimer = this.#options.clock.after(deadlineMs, () => this.#cut());
    this.#onEmpty = () => {
      cancelTimer();
      resolve();
    };
    for (const session of this.#sessions) session.retire();
    // Handshakes that are not finished belong to no tunnel.
    const established = new Set([...this.#sessions].map((session) => session.raw));
    for (const raw of this.#raw) if (!established.has(raw)) raw.destroy();
    if (this.#sessions.size === 0) this.#onEmpty();
    return promise;
  }

  close(): void {
    this.#closing = true;
    this.#cut();
  }

  sessions(): SessionInfo[] {
    return [...this.#sessions].map((session) => session.info());
  }

  #cut(): void {
    for (const session of this.#sessions) session.destroy();
    for (const raw of this.#raw) raw.destroy();
  }

  #turnAway(socket: net.Socket, ends: SocketEnds, why: DoorCause): void {
    socket.on('error', () => {}); // it is turned away: how it ends is of no interest
    socket.resetAndDestroy();
    this.#acceptor.abandon(socket);
    this.#options.onRefused?.('unproved');
    const source = formatAddress(ends.remoteAddress, ends.remotePort);
    this.#options.log.warn({ 'src.addr': source, cause: 'unproved', why }, `HBONE connection closed: ${DOOR_CAUSES[why]}`);
  }

  async #serve(raw: net.Socket, ends: SocketEnds, waiting: Waiting): Promise<void> {
    raw.on('error', () => {}); // the TLS socket above it has the same error, once there is one; before that 'close' tells
    raw.setNoDelay(true);
    const credentials = await this.#options.credentials();
    if (raw.destroyed || this.#closing) return void raw.destroy();
    const socket = await this.#acceptor.accept(raw, credentials);
    const peer = this.#verify(socket);
    if (this.#closing) return void socket.destroy();
    const { place = () => () => {} } = this.#options;
    const leave = place();
    if (leave === null) return void socket.destroy();
    raw.once('close', leave);
    const session = startSession({
      raw,
      socket,
      ends,
      peer,
      clock: this.#options.clock,
      log: this.#options.log,
      mishaps: this.#options.mishaps,
      onTunnel: (tunnel) => this.#options.onTunnel(tunnel),
      ready: () => waiting.proved(),
      closed: () => {
        this.#sessions.delete(session);
        if (this.#sessions.size === 0) this.#onEmpty();
      },
    });
    this.#sessions.add(session);
  }

  /** The peer's identity. Throws when it is not one that this server accepts. */
  #verify(socket: TLSSocket): Identity {
    if (socket.alpnProtocol !== HBONE_ALPN) throw new Error('the client did not ask for HTTP/2 (ALPN h2)');
    const verdict = verifyClient(peerIdentities(socket.getPeerX509Certificate()?.subjectAltName), this.#options.trustDomain);
    if (verdict.kind === 'rejected') throw new Error(verdict.reason);
    return verdict.peer;
  }
}
