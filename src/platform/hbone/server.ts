import { formatAddress } from '#model/address/ip.ts';
import type { ByteStream } from '#model/effects/byte-stream.ts';
import type { Clock } from '#model/effects/clock.ts';
import type { Log } from '#model/effects/log.ts';
import type { Mishaps } from '#model/effects/mishaps.ts';
import type { Doorkeeper, Waiting } from '#model/guard/doorkeeper.ts';
import type { Credentials } from '#model/identity/identity.ts';
import { TUNNEL } from '#model/settings/tunnels.ts';
import { type CloseCause, DOOR_CAUSES, type DoorCause, Refusal } from '#model/telemetry/close-cause.ts';
import { whyNot } from '#platform/hbone/client-handshake.ts';
import { type ServerSession, type SessionInfo, startSession } from '#platform/hbone/server-session.ts';
import { revokedPeer, TlsContexts, verifiedPeer } from '#platform/hbone/tls-contexts.ts';
import type { Io } from '#platform/io/io.ts';
import type { InboundTunnel } from '#protocol/hbone/transport.ts';
import { GrownWindows } from '#protocol/http/v2/receive-window.ts';
import type { Revocations } from '#protocol/identity/revocation.ts';
import { verifyClient } from '#protocol/identity/spiffe.ts';

/** Who the server is and who answers its tunnels. */
export type HboneServerOptions = {
  io: Io;
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
  /** How many threads serve the same port, each with a server of its own: its connections are a part of `TUNNEL.sessionsMax`. Without it: one. */
  threads?: number;
  /** Which certificates are revoked; without it none. */
  revocations?: Revocations | undefined;
  clock: Clock;
  log: Log;
  mishaps: Mishaps;
};

/** A running server; accepted streams are handed to it. */
export type HboneServer = {
  /** Serves HBONE on an accepted TCP stream, which it owns from here on. */
  handle(stream: ByteStream): void;
  /**
   * Takes no new connections; resolves when the last tunnel has ended or was cut after `deadlineMs` (B55). Who was accepted before comes
   * to its tunnels, and is told to open no more: its app has dialled already, and would be reset.
   */
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

/** A connection whose peer has not shown yet that it speaks HBONE, and how it is ended now. */
type Unproved = { readonly stream: ByteStream; cut(): void };

class Server implements HboneServer {
  readonly #options: HboneServerOptions;
  readonly #contexts: TlsContexts;
  /** Those that are no sessions yet. */
  readonly #raw = new Set<ByteStream>();
  readonly #sessions = new Set<ServerSession>();
  readonly #grown = new GrownWindows();
  #phase: 'open' | 'draining' | 'closed' = 'open';
  #onEmpty: () => void = () => {};

  constructor(options: HboneServerOptions) {
    this.#options = options;
    this.#contexts = new TlsContexts(options.io);
  }

  handle(stream: ByteStream): void {
    const connections = this.#raw.size + this.#sessions.size;
    const full = connections >= TUNNEL.sessionsMax / (this.#options.threads ?? 1);
    if (full) {
      this.#options.log.warn({ cause: 'too-many', connections }, 'HBONE connection refused: too many connections');
      this.#options.onRefused?.('too-many');
    }
    if (full || this.#phase !== 'open') return void stream.reset();
    let isTurnedAway = false;
    const entry: Unproved = { stream, cut: () => stream.reset() };
    const waiting = this.#options.door.enter(stream.remote.ip, (cause) => {
      isTurnedAway = true;
      entry.cut();
      this.#tellTurnedAway(stream, cause);
    });
    if (waiting === null) {
      stream.reset();
      this.#tellTurnedAway(stream, 'too-fast');
      return;
    }
    this.#raw.add(stream);
    this.#serve(entry, waiting).catch((error: unknown) => {
      this.#raw.delete(stream);
      this.#endIfEmpty();
      waiting.ended();
      stream.reset();
      if (isTurnedAway) return; // and told
      if (error instanceof PeerGone) {
        // Probes look whether somebody listens, every two seconds in a cluster, and clients may change their mind.
        this.#options.log.debug({ 'src.addr': formatAddress(stream.remote.ip, stream.remote.port) }, error.message);
        return;
      }
      const cause = error instanceof Refusal ? error.why : 'handshake-failed';
      this.#options.onRefused?.(cause);
      const source = formatAddress(stream.remote.ip, stream.remote.port);
      this.#options.log.warn({ 'src.addr': source, cause, err: error }, 'HBONE connection failed');
    });
  }

  drain(deadlineMs: number): Promise<void> {
    this.#phase = 'draining';
    const { promise, resolve } = Promise.withResolvers<void>();
    const cancelTimer = this.#options.clock.after(deadlineMs, () => this.#cut());
    this.#onEmpty = () => {
      cancelTimer();
      resolve();
    };
    for (const session of this.#sessions) session.retire();
    this.#endIfEmpty();
    return promise;
  }

  close(): void {
    this.#phase = 'closed';
    this.#cut();
  }

  sessions(): SessionInfo[] {
    return [...this.#sessions].map((session) => session.info());
  }

  #isClosed(): boolean {
    return this.#phase === 'closed';
  }

  #endIfEmpty(): void {
    if (this.#raw.size === 0 && this.#sessions.size === 0) this.#onEmpty();
  }

  #cut(): void {
    for (const session of this.#sessions) session.destroy();
    for (const raw of this.#raw) raw.reset();
  }

  #tellTurnedAway(stream: ByteStream, why: DoorCause): void {
    this.#options.onRefused?.('unproved');
    const source = formatAddress(stream.remote.ip, stream.remote.port);
    this.#options.log.warn({ 'src.addr': source, cause: 'unproved', why }, `HBONE connection closed: ${DOOR_CAUSES[why]}`);
  }

  /** Throws what ended it before it was a session. */
  async #serve(entry: Unproved, waiting: Waiting): Promise<void> {
    const { clock, log, mishaps, io, trustDomain, place = () => () => {} } = this.#options;
    const raw = entry.stream;
    const credentials = await this.#options.credentials();
    if (raw.isOver || this.#isClosed()) throw new Error('the connection ended before it was secured');
    // How long it may take is the doorkeeper's to say, who resets it then.
    const secured = await io.secure(raw, this.#contexts.of('server', credentials), null);
    if (secured.kind === 'gone') throw new PeerGone(whyNot(secured));
    if (secured.kind !== 'open') throw new Error(whyNot(secured));
    const { stream } = secured;
    const verdict = verifiedPeer(stream, (names) => verifyClient(names, trustDomain));
    if (this.#options.revocations?.isRevoked(stream.peerChain) === true) {
      stream.reset();
      throw revokedPeer();
    }
    const leave = verdict.kind === 'rejected' || this.#isClosed() ? null : place();
    if (leave === null) stream.reset();
    if (verdict.kind === 'rejected') throw new Error(verdict.reason);
    this.#raw.delete(raw);
    if (leave === null) {
      this.#endIfEmpty();
      return waiting.ended(); // which is told already
    }
    stream.onOver(() => {
      leave();
      waiting.ended();
    });
    const session = startSession({
      stream,
      peer: verdict.peer,
      grown: this.#grown,
      clock,
      log,
      mishaps,
      onTunnel: (tunnel) => this.#options.onTunnel(tunnel),
      ready: () => waiting.proved(),
      closed: () => {
        this.#sessions.delete(session);
        this.#endIfEmpty();
      },
    });
    this.#sessions.add(session);
    const unfollow = this.#options.revocations?.follow(stream.peerChain, () => session.destroy(revokedPeer()));
    if (unfollow !== undefined) stream.onOver(unfollow);
    entry.cut = () => session.destroy();
    if (this.#phase === 'draining') session.retire();
  }
}

/** Whoever connected has gone again before it was secured: nobody was refused anything. */
class PeerGone extends Error {}
