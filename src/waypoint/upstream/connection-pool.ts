import type { ByteStream } from '#model/effects/byte-stream.ts';
import type { Clock } from '#model/effects/clock.ts';
import type { Mishaps } from '#model/effects/mishaps.ts';
import { TUNNEL } from '#model/settings/tunnels.ts';
import { WAYPOINT } from '#model/settings/waypoints.ts';
import type { ClientConnection, ClientOwner, Http2Engine, HttpVersion, UpstreamProblem } from '#protocol/http/message.ts';
import { Http1ClientConnection } from '#protocol/http/v1/client-connection.ts';
import type { Counters } from '#waypoint/self/counters.ts';
import { type Acquired, ANYBODY, type Asking, WaitingRoom } from './waiting-room.ts';

/** A fresh byte stream to an endpoint, or why there is none. */
export type DialOutcome =
  | { readonly kind: 'open'; readonly stream: ByteStream }
  | { readonly kind: 'failed'; readonly problem: UpstreamProblem };

type Idle = { readonly connection: Http1ClientConnection; readonly untilMs: number };

type PoolEffects = {
  readonly clock: Clock;
  readonly http2: Http2Engine;
  readonly counters: Counters;
  readonly mishaps: Mishaps;
  /** `timeoutMs`: how long it may take; null: as long as everywhere. */
  dial(version: HttpVersion, timeoutMs: number | null): Promise<DialOutcome>;
};

/** A server of HTTP/2 begins with its settings, as soon as it has the client's. */
const NO_SETTINGS: UpstreamProblem = {
  kind: 'protocol-error',
  details: 'the endpoint does not speak HTTP/2',
  staleConnection: false,
  unprocessed: true,
};

const LEFT: UpstreamProblem = {
  kind: 'connect-failure',
  details: 'the endpoint left the mesh before it answered',
  staleConnection: false,
  unprocessed: true,
};

/** What a circuit breaker refuses is nobody's failure. */
const OVERFLOWED: Acquired = {
  kind: 'failed',
  problem: { kind: 'overflow', details: 'too many wait', staleConnection: false, unprocessed: true },
};

/** The connections to one endpoint on behalf of one client identity. */
export class ConnectionPool implements ClientOwner {
  readonly #effects: PoolEffects;
  /** The last one used is the next one used, so that the others can grow old. */
  readonly #idle: Idle[] = [];
  /** Ended by us, with the time by which the peer has to have done so too; sweep() makes an end of those. */
  readonly #closing = new Map<Http1ClientConnection, number>();
  /** With the time each was last used. */
  readonly #http2 = new Map<ClientConnection, number>();
  /** Connections open or being opened. */
  #open = 0;
  #pendingHttp2: Promise<Acquired> | null = null;
  /** HTTP/2 connections whose peer has not said yet how many requests it takes; called once it has, or will not. */
  readonly #settling = new Map<ClientConnection, (ready: boolean) => void>();
  #retired = false;
  /** How long one may be idle: as whoever asked last wants it. */
  #idleMs: number = WAYPOINT.upstreamIdleMs;
  /** Requests that a connection has carried, of those that may carry only so many. */
  readonly #uses = new WeakMap<ClientConnection, number>();
  readonly #room = new WaitingRoom();
  /** Dials under way, each with what gives it up. */
  readonly #dialling = new Set<() => void>();

  constructor(effects: PoolEffects) {
    this.#effects = effects;
  }

  /** Connections that are open or being opened, those left out that we have ended. */
  get open(): number {
    return this.#open - this.#closing.size;
  }

  /** A connection that can take one request; at once if one is free. `fresh`: not one that has served before (HTTP/1). */
  acquire(version: HttpVersion, fresh: boolean, asking: Asking = ANYBODY): ClientConnection | Promise<Acquired> {
    this.#idleMs = asking.connection?.idleTimeoutMs ?? WAYPOINT.upstreamIdleMs;
    // One HTTP/2 connection carries many requests at once; an HTTP/1 connection carries one, so those are handed out.
    if (version === 'http2') {
      const free = this.#freeHttp2();
      if (free !== null) return free;
      return asking === ANYBODY ? this.#acquireHttp2() : this.#obtain(asking, 'http2');
    }
    const idle = fresh ? null : this.#takeIdle();
    if (idle === null) return asking === ANYBODY ? this.#openHttp1(null) : this.#obtain(asking, 'http1');
    this.#effects.counters.upstreamReuses++;
    return idle;
  }

  /** A connection has been given a request: with the last one that it may carry, it ends. */
  used(connection: ClientConnection, requestsMax: number): void {
    const uses = (this.#uses.get(connection) ?? 0) + 1;
    this.#uses.set(connection, uses);
    if (uses >= requestsMax) connection.retire();
  }

  onIdle(connection: ClientConnection): void {
    if (!(connection instanceof Http1ClientConnection)) {
      this.#settling.get(connection)?.(true);
      if (this.#retired) connection.retire();
      else for (let free = connection.capacity(); free > 0 && this.#room.give({ kind: 'ready', connection }); ) free--;
    } else if (!this.#retired && this.#room.give({ kind: 'ready', connection })) {
      this.#effects.counters.upstreamReuses++;
    } else if (this.#retired || this.#idle.length >= WAYPOINT.idleConnectionsMax) connection.retire();
    else this.#idle.push({ connection, untilMs: this.#expiry(connection) });
  }

  /** An idle one that the peer has ended, or we: no request may be put on it. */
  onEnding(connection: ClientConnection): void {
    if (!(connection instanceof Http1ClientConnection)) return; // it sees to its end by itself
    this.#forgetIdle(connection);
    this.#closing.set(connection, this.#effects.clock.monotonicMs() + WAYPOINT.closingMs);
    this.#room.give(null);
  }

  onClosed(connection: ClientConnection): void {
    this.#open--;
    this.#http2.delete(connection);
    this.#settling.get(connection)?.(false);
    if (connection instanceof Http1ClientConnection) {
      this.#closing.delete(connection);
      this.#forgetIdle(connection);
    }
    this.#room.give(null);
  }

  onMistake(error: unknown): void {
    this.#effects.mishaps.report('upstream', error);
  }

  /** Closes connections that were idle too long; true when none is left. */
  sweep(): boolean {
    const nowMs = this.#effects.clock.monotonicMs();
    for (const [connection, untilMs] of this.#closing) if (untilMs <= nowMs) connection.destroy();
    for (const idle of this.#idle.filter(({ untilMs }) => untilMs <= nowMs)) idle.connection.retire();
    for (const [connection, usedMs] of this.#http2)
      if (connection.isIdle() && usedMs + this.#idleMs <= nowMs) connection.retire();
    return this.#open === 0;
  }

  /** Closes every connection once its requests are done; who waits for one that is only being opened may go elsewhere. */
  retire(): void {
    this.#retired = true;
    for (const giveUp of [...this.#dialling]) giveUp();
    this.#room.close(LEFT);
    for (const { connection } of [...this.#idle]) connection.retire();
    for (const connection of [...this.#http2.keys()]) connection.retire();
  }

  #takeIdle(): ClientConnection | null {
    const nowMs = this.#idle.length === 0 ? 0 : this.#effects.clock.monotonicMs();
    // The clock is read once and only if there is something to judge: this is on the way of every request.
    for (let idle = this.#idle.pop(); idle !== undefined; idle = this.#idle.pop()) {
      if (idle.untilMs > nowMs && idle.connection.capacity() > 0) return idle.connection;
      idle.connection.retire();
    }
    return null;
  }

  #forgetIdle(connection: Http1ClientConnection): void {
    const at = this.#idle.findIndex((idle) => idle.connection === connection);
    if (at >= 0) this.#idle.splice(at, 1);
  }

  #expiry({ keepAliveTimeoutSeconds }: Http1ClientConnection): number {
    const announcedMs =
      keepAliveTimeoutSeconds === null ? this.#idleMs : keepAliveTimeoutSeconds * 1_000 - WAYPOINT.keepAliveMarginMs;
    return this.#effects.clock.monotonicMs() + Math.min(this.#idleMs, announcedMs);
  }

  #freeHttp2(): ClientConnection | null {
    for (const connection of this.#http2.keys()) {
      if (connection.capacity() === 0) continue;
      this.#http2.set(connection, this.#effects.clock.monotonicMs());
      return connection;
    }
    return null;
  }

  /** Requests that come while a connection is being opened wait for that one; those that do not fit open the next. */
  async #acquireHttp2(): Promise<Acquired> {
    for (;;) {
      // Opening one for each waiting request would make a burst into as many connections, then leave them idle.
      this.#pendingHttp2 ??= this.#openHttp2();
      const acquired = await this.#pendingHttp2;
      if (acquired.kind === 'failed' || acquired.connection.capacity() > 0) return acquired;
    }
  }

  /**
   * A connection for whom is counted. A pool that has none may always open one: else those that others hold would keep its requests
   * waiting for good (as Envoy has it).
   */
  async #obtain(asking: Asking, version: HttpVersion): Promise<Acquired> {
    this.#room.forgetUnwanted();
    if (!asking.enterWait()) return OVERFLOWED;
    try {
      for (let again = false; asking.isWanted(); again = true) {
        const joins = version === 'http2' && this.#pendingHttp2 !== null;
        const given =
          joins || this.open === 0 || asking.mayOpen()
            ? await this.#begin(asking, version)
            : await this.#room.wait(asking, again);
        if (given !== null) return given;
      }
      return OVERFLOWED; // nobody looks at it
    } finally {
      asking.waitOver();
    }
  }

  /** Null: others have filled the connection that was opened. */
  async #begin({ connection }: Asking, version: HttpVersion): Promise<Acquired | null> {
    const timeoutMs = connection?.connectTimeoutMs ?? null;
    if (version === 'http1') return this.#openHttp1(timeoutMs);
    this.#pendingHttp2 ??= this.#openHttp2(timeoutMs);
    const acquired = await this.#pendingHttp2;
    return acquired.kind === 'failed' || acquired.connection.capacity() > 0 ? acquired : null;
  }

  #openHttp1(timeoutMs: number | null): Promise<Acquired> {
    return this.#dial('http1', (stream) => new Http1ClientConnection(stream, this), timeoutMs);
  }

  async #openHttp2(timeoutMs: number | null = null): Promise<Acquired> {
    const dialled = await this.#dial('http2', (stream) => this.#effects.http2.connect(stream, this), timeoutMs);
    const acquired = dialled.kind === 'ready' ? await this.#settle(dialled.connection) : dialled;
    this.#pendingHttp2 = null;
    if (acquired.kind === 'ready') this.#http2.set(acquired.connection, this.#effects.clock.monotonicMs());
    return acquired;
  }

  /** What is sent before the peer's settings are known may be more than it takes. */
  #settle(connection: ClientConnection): Promise<Acquired> {
    if (connection.capacity() > 0) return Promise.resolve({ kind: 'ready', connection });
    return new Promise((resolve) => {
      const settled = (ready: boolean): void => {
        cancel();
        this.#settling.delete(connection);
        if (!ready) connection.retire();
        resolve(ready ? { kind: 'ready', connection } : { kind: 'failed', problem: NO_SETTINGS });
      };
      const cancel = this.#effects.clock.after(TUNNEL.connectTimeoutMs, () => settled(false));
      this.#settling.set(connection, settled);
    });
  }

  /** From where an endpoint was that has left, nobody will answer. */
  #outcome(version: HttpVersion, timeoutMs: number | null): Promise<DialOutcome> {
    return new Promise((resolve, reject) => {
      const giveUp = (): void => {
        this.#dialling.delete(giveUp);
        resolve({ kind: 'failed', problem: LEFT });
      };
      this.#dialling.add(giveUp);
      this.#effects.dial(version, timeoutMs).then((outcome) => {
        if (this.#dialling.delete(giveUp)) resolve(outcome);
        else if (outcome.kind === 'open') outcome.stream.reset();
      }, reject);
    });
  }

  async #dial(
    version: HttpVersion,
    connect: (stream: ByteStream) => ClientConnection,
    timeoutMs: number | null,
  ): Promise<Acquired> {
    this.#open++;
    const outcome = await this.#outcome(version, timeoutMs);
    if (outcome.kind === 'failed') {
      this.#open--;
      this.#room.give(null);
      this.#effects.counters.upstreamConnectFailures++;
      return outcome;
    }
    this.#effects.counters.upstreamConnections++;
    try {
      return { kind: 'ready', connection: connect(outcome.stream) };
    } catch (error) {
      this.#open--;
      this.#room.give(null);
      outcome.stream.reset();
      this.onMistake(error);
      return {
        kind: 'failed',
        problem: { kind: 'local-reset', details: 'a mistake of the waypoint', staleConnection: false, unprocessed: false },
      };
    }
  }
}
