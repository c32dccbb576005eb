import { formatAddress, type IpAddress } from '#model/address/ip.ts';
import type { Dialled } from '#model/effects/byte-stream.ts';
import type { Clock, Random } from '#model/effects/clock.ts';
import type { Log } from '#model/effects/log.ts';
import type { Mishaps } from '#model/effects/mishaps.ts';
import { type Credentials, formatIdentity, type Identity } from '#model/identity/identity.ts';
import type { TunnelRequest, TunnelTarget } from '#model/path/reach.ts';
import { TUNNEL } from '#model/settings/tunnels.ts';
import { type ConnectFailure, clientHandshake, dialOutcome, failure } from '#platform/hbone/client-handshake.ts';
import { PooledConnection } from '#platform/hbone/pooled-connection.ts';
import { revokedPeer, TlsContexts } from '#platform/hbone/tls-contexts.ts';
import type { Io } from '#platform/io/io.ts';
import type { TunnelOutcome, TunnelPool } from '#protocol/hbone/transport.ts';
import { GrownWindows } from '#protocol/http/v2/receive-window.ts';
import type { Revocations } from '#protocol/identity/revocation.ts';

/** What a pool needs of the outside. */
export type ClientPoolEffects = {
  io: Io;
  /** TCP from the network namespace of the workload that this pool serves, within TUNNEL.handshakeTimeoutMs. */
  dial(address: IpAddress, port: number): Promise<Dialled>;
  /** The current certificate of an identity; a renewed one is a new object. */
  credentials(identity: Identity): Promise<Credentials>;
  /** The same where it can be had without waiting; null: it cannot. */
  current?(identity: Identity): Credentials | null;
  /** Which certificates are revoked; without it none. */
  revocations?: Revocations | undefined;
  clock: Clock;
  random: Random;
  log: Log;
  mishaps: Mishaps;
};

/** Connections of one key (B18). */
type Entry = { connections: Set<PooledConnection>; connecting: Promise<ConnectFailure | null> | null };

type Lease = { kind: 'leased'; connection: PooledConnection } | ConnectFailure;

/** HBONE connections of one workload, shared per source identity, destination identities and address. */
export function createClientPool(effects: ClientPoolEffects): TunnelPool {
  return new ClientPool(effects);
}

function keyOf(target: TunnelTarget): string {
  return `${formatIdentity(target.source)} ${target.peers.map(formatIdentity).join(',')} ${formatAddress(target.address, target.port)}`;
}

/** A connection with a certificate that was replaced gains no new tunnels; those it has may end. */
function isReplaced(used: Credentials, current: Credentials): boolean {
  return used !== current && used.notBeforeMs <= current.notBeforeMs;
}

class ClientPool implements TunnelPool {
  readonly #effects: ClientPoolEffects;
  readonly #contexts: TlsContexts;
  readonly #entries = new Map<string, Entry>();
  /** All connections that are not closed yet, retired ones included. */
  readonly #alive = new Set<PooledConnection>();
  readonly #grown = new GrownWindows();
  #closed = false;
  /** What was asked for last, and its key. */
  #last: Partial<TunnelTarget> & Pick<TunnelTarget, 'peers'> = { peers: [] };
  #lastKey = '';

  constructor(effects: ClientPoolEffects) {
    this.#effects = effects;
    this.#contexts = new TlsContexts(effects.io);
  }

  /** Nearly always the certificate and a connection with a place are at hand: then nothing is waited for but the answer. */
  open(target: TunnelTarget, request: TunnelRequest): Promise<TunnelOutcome> {
    const credentials = this.#effects.current?.(target.source) ?? null;
    const connection = credentials === null || this.#closed ? null : this.#reserve(this.#keyOf(target), credentials);
    if (connection === null) return this.#openSlowly(target, request);
    return connection
      .open(request)
      .then((outcome) => (outcome.kind === 'retry' ? this.#openSlowly(target, request, outcome.error) : outcome));
  }

  async #openSlowly(target: TunnelTarget, request: TunnelRequest, before?: Error): Promise<TunnelOutcome> {
    let last = before;
    // Anew each time: a certificate may have been renewed, and a connection may close, between two tries.
    for (let attempt = before === undefined ? 0 : 1; attempt < TUNNEL.attemptsMax; attempt++) {
      const credentials = await this.#credentials(target.source);
      if ('kind' in credentials) return credentials;
      const lease = await this.#lease(target, credentials);
      if (lease.kind === 'failed') return lease;
      const outcome = await lease.connection.open(request);
      if (outcome.kind !== 'retry') return outcome;
      last = outcome.error;
    }
    return failure(
      'CONNECT',
      'WEFT_HBONE_CONNECT',
      'the peer closes every connection it is asked to use',
      'look at the log of the destination node',
      last,
    );
  }

  size(): number {
    return this.#alive.size;
  }

  close(immediately: boolean): void {
    this.#closed = true;
    for (const connection of [...this.#alive]) {
      if (immediately) connection.destroy(null);
      else connection.retire();
    }
  }

  async #credentials(source: Identity): Promise<Credentials | ConnectFailure> {
    try {
      return await this.#effects.credentials(source);
    } catch (cause) {
      const remedy = 'see why the control plane does not issue the certificate: `weft status` shows the error';
      return failure('IDENTITY_ERROR', 'WEFT_HBONE_IDENTITY', `no certificate for ${formatIdentity(source)}`, remedy, cause);
    }
  }

  /** A place on a connection: of an existing one, or of a new one that all who wait now share (B17). */
  async #lease(target: TunnelTarget, credentials: Credentials): Promise<Lease> {
    const key = this.#keyOf(target);
    for (;;) {
      if (this.#closed)
        return failure('CONNECT', 'WEFT_HBONE_CLOSED', 'the agent is shutting down', 'connect again: another agent takes over');
      // Looked up in each round: while we waited, others may have used up or retired what was there.
      const connection = this.#reserve(key, credentials);
      if (connection !== null) return { kind: 'leased', connection };
      const entry = this.#entries.get(key) ?? { connections: new Set(), connecting: null };
      this.#entries.set(key, entry);
      // One handshake at a time per key: whoever comes meanwhile shares it instead of making its own.
      entry.connecting ??= this.#connect(key, entry, target, credentials).finally(() => {
        entry.connecting = null;
        this.#forgetIfEmpty(key, entry);
      });
      const failed = await entry.connecting;
      if (failed !== null) return failed;
    }
  }

  /** A place on a connection that is there. */
  #reserve(key: string, credentials: Credentials): PooledConnection | null {
    const connections = this.#entries.get(key)?.connections;
    if (connections === undefined) return null;
    for (const connection of connections) if (isReplaced(connection.credentials, credentials)) this.#retire(key, connection);
    // The first with a place, so that the others become idle and close.
    for (const connection of connections) if (connection.reserve()) return connection;
    return null;
  }

  /** Connections come in bursts to one place: what names it is made once for them. */
  #keyOf(target: TunnelTarget): string {
    const { source, peers, address, port } = this.#last;
    const isSame = target.source === source && target.address === address && target.port === port;
    if (isSame && target.peers.length === peers.length && target.peers.every((peer, at) => peer === peers[at]))
      return this.#lastKey;
    this.#last = target;
    this.#lastKey = keyOf(target);
    return this.#lastKey;
  }

  async #connect(key: string, entry: Entry, target: TunnelTarget, credentials: Credentials): Promise<ConnectFailure | null> {
    const { io, dial, clock, random, log, mishaps, revocations } = this.#effects;
    const dialled = dialOutcome(await dial(target.address, target.port));
    if (dialled.kind === 'failed') return dialled;
    const secured = await clientHandshake(dialled.stream, credentials, target.peers, {
      io,
      contexts: this.#contexts,
      revocations,
    });
    if (secured.kind === 'failed') return secured;
    const { stream, peer } = secured;
    const closed = (error: Error | null) => {
      this.#alive.delete(connection);
      this.#retire(key, connection);
      if (error !== null)
        log.info({ 'dst.identity': formatIdentity(peer), 'dst.addr': target.address, err: error }, 'HBONE connection lost');
    };
    const connection = new PooledConnection({ stream, credentials, peer, grown: this.#grown, clock, random, mishaps, closed });
    // Before it can be used: `close` has to find it, too.
    this.#alive.add(connection);
    const unfollow = revocations?.follow(stream.peerChain, () => connection.destroy(revokedPeer()));
    if (unfollow !== undefined) stream.onOver(unfollow);
    const failed = await this.#settle(connection);
    if (failed === null) entry.connections.add(connection);
    return failed;
  }

  /** Waits for the peer's settings: only then it is certain that it has accepted our certificate, too. */
  async #settle(connection: PooledConnection): Promise<ConnectFailure | null> {
    const timedOut = new Error('the peer has not begun HTTP/2 within 10 s');
    const cancelTimer = this.#effects.clock.after(TUNNEL.handshakeTimeoutMs, () => connection.destroy(timedOut));
    const error = await connection.ready();
    cancelTimer();
    if (error === null) return null;
    if (error === timedOut)
      return failure('H2_HANDSHAKE_FAILURE', 'WEFT_HBONE_HTTP2', error.message, 'see whether the peer speaks HBONE', error);
    const remedy = 'the peer probably rejected our certificate: see its log, and compare trust domains and roots';
    return failure('TLS_FAILURE', 'WEFT_HBONE_TLS', `the peer ended the handshake: ${error.message}`, remedy, error);
  }

  #retire(key: string, connection: PooledConnection): void {
    connection.retire();
    const entry = this.#entries.get(key);
    entry?.connections.delete(connection);
    if (entry !== undefined) this.#forgetIfEmpty(key, entry);
  }

  #forgetIfEmpty(key: string, entry: Entry): void {
    if (entry.connections.size === 0 && entry.connecting === null && this.#entries.get(key) === entry) this.#entries.delete(key);
  }
}
