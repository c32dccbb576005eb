import { pickLeastLoaded } from '#model/balancing/least-request.ts';
import type { ByteStream } from '#model/effects/byte-stream.ts';
import type { Cancel } from '#model/effects/clock.ts';
import { messageOf } from '#model/error.ts';
import type { ServiceKey } from '#model/mesh/service.ts';
import { WAYPOINT } from '#model/settings/waypoints.ts';
import { type HeaderBlock, StringHeaders } from '#protocol/http/header-block.ts';
import { headerIdOf } from '#protocol/http/header-names.ts';
import type {
  ClientConnection,
  ClientEvents,
  ClientStream,
  HttpVersion,
  RequestHead,
  ResponseHead,
  UpstreamProblem,
} from '#protocol/http/message.ts';
import type { WaypointEffects } from '#waypoint/self/effects.ts';
import type { UpstreamEndpoint } from '#waypoint/state/kept.ts';
import type { ConnectionPool } from '#waypoint/upstream/connection-pool.ts';
import type { Upstreams } from '#waypoint/upstream/upstreams.ts';
import type { Acquired, Asking } from '#waypoint/upstream/waiting-room.ts';

/** A question to a service, by the waypoint itself. */
export type ServiceCall = {
  readonly service: ServiceKey;
  readonly port: number;
  readonly method: string;
  readonly target: string;
  readonly authority: string;
  /** Name, value, …; names in lower case. */
  readonly headers: readonly string[];
  /** Null: none. */
  readonly body: Buffer | null;
  /** Null: as the port of the service declares, HTTP/1.1 if it does not. */
  readonly version: HttpVersion | null;
  /** Milliseconds for all of it; null: any time. */
  readonly timeoutMs: number | null;
  /** A longer answer is none. */
  readonly answerBytesMax: number;
};

/** What came of it. */
export type CallOutcome =
  | {
      readonly kind: 'answered';
      readonly status: number;
      readonly headers: HeaderBlock;
      readonly body: Buffer;
      readonly trailers: HeaderBlock | null;
    }
  | { readonly kind: 'failed'; readonly why: string };

/** A question under way. */
export type OpenCall = { readonly outcome: Promise<CallOutcome>; abort(): void };

/** What calls need. */
export type CallParts = {
  readonly upstreams: Pick<Upstreams, 'service' | 'ownPool'>;
  readonly effects: Pick<WaypointEffects, 'clock' | 'random' | 'mishaps'>;
};

/** Fixed by what a second try is for: once more where surely nothing was processed, or where the connection had ended before. */
const TRIES_MAX = 2;

/** Calls that wait for a connection, those included that were given up: a server that accepts none must not gather any number of them. */
const waiting = new WeakMap<ConnectionPool, number>();

/** Asks a service of the mesh over connections of the waypoint's own. The outcome never rejects. */
export function callService(call: ServiceCall, parts: CallParts): OpenCall {
  const open = new Call(call, parts);
  open.start();
  return { outcome: open.outcome, abort: () => open.finish({ kind: 'failed', why: 'given up' }) };
}

/** The upstream half of one question: what comes back is collected, within a bound. */
class Call implements ClientEvents {
  readonly #call: ServiceCall;
  readonly #parts: CallParts;
  readonly #settled = Promise.withResolvers<CallOutcome>();
  readonly #cancelTimer: Cancel | null;
  readonly #pieces: Buffer[] = [];
  #bytes = 0;
  #tries = 0;
  #endpoint: UpstreamEndpoint | null = null;
  #upstream: ClientStream | null = null;
  #answer: { status: number; headers: HeaderBlock } | null = null;
  #over = false;

  constructor(call: ServiceCall, parts: CallParts) {
    this.#call = call;
    this.#parts = parts;
    const { timeoutMs } = call;
    const late = (): void => this.finish({ kind: 'failed', why: `no answer within ${timeoutMs} ms` });
    this.#cancelTimer = timeoutMs === null ? null : parts.effects.clock.after(timeoutMs, late);
  }

  get outcome(): Promise<CallOutcome> {
    return this.#settled.promise;
  }

  /** Begins a try. */
  start(): void {
    const { service: key, port, version: wanted } = this.#call;
    const { upstreams, effects } = this.#parts;
    const service = upstreams.service(key, port, 4);
    const endpoint = service === null ? null : pickLeastLoaded(service.set, effects.random);
    if (service === null || endpoint === null) {
      this.#fail(service === null ? `${key} has no port ${port} in the mesh` : `${key} has no healthy endpoint`);
      return;
    }
    this.#tries++;
    this.#endpoint = endpoint;
    endpoint.active++;
    const declared = service.appProtocol === 'http2' || service.appProtocol === 'grpc' ? 'http2' : 'http1';
    this.#acquire(upstreams.ownPool(endpoint), wanted ?? declared);
  }

  /** Once, whatever comes after. */
  finish(outcome: CallOutcome): void {
    if (this.#over) return;
    this.#over = true;
    this.#cancelTimer?.();
    this.#leave();
    // Nothing happens after an end that was told; any other leaves the upstream at work.
    this.#upstream?.abort();
    this.#upstream = null;
    this.#settled.resolve(outcome);
  }

  /** 1xx says nothing that is asked for. */
  onInform(): void {}

  onResponse({ status, headers }: ResponseHead, end: boolean): void {
    // The engine uses the memory of a head again.
    this.#answer = { status, headers: new StringHeaders(headers.toPairs(), headerIdOf) };
    if (end) this.#complete(null);
  }

  onResponseBody(data: Buffer): boolean {
    this.#bytes += data.length;
    if (this.#bytes > this.#call.answerBytesMax) this.#fail(`its answer is longer than ${this.#call.answerBytesMax} bytes`);
    else this.#pieces.push(Buffer.from(data));
    return true;
  }

  onResponseEnd(trailers: HeaderBlock | null): void {
    this.#complete(trailers === null ? null : new StringHeaders(trailers.toPairs(), headerIdOf));
  }

  onUpgrade(_head: ResponseHead, stream: ByteStream): void {
    stream.reset();
    this.#upstream = null;
    this.#fail('it changed the protocol, which was not asked for');
  }

  onFailure(problem: UpstreamProblem): void {
    this.#upstream = null;
    if (!this.#over) this.#failed(problem);
  }

  /** The body was given at once. */
  onUpstreamWritable(): void {}

  onResponseTurnEnd(): void {}

  /** The second try never goes over a connection that has served before: that may be what failed. */
  #acquire(pool: ConnectionPool, version: HttpVersion): void {
    const acquired = pool.acquire(version, this.#tries > 1, this.#askingOf(pool));
    if (!(acquired instanceof Promise)) {
      this.#send(acquired, version);
      return;
    }
    acquired
      .then((outcome) => this.#arrive(outcome, pool, version))
      .catch((error: unknown) => {
        this.#parts.effects.mishaps.report('upstream', error);
        this.#fail(messageOf(error));
      });
  }

  /** There may be as many connections as need be, but not as many that wait for them. */
  #askingOf(pool: ConnectionPool): Asking {
    let waits = false;
    const count = (more: number): void => void waiting.set(pool, (waiting.get(pool) ?? 0) + more);
    return {
      connection: null,
      mayOpen: () => true,
      enterWait: () => {
        waits = (waiting.get(pool) ?? 0) < WAYPOINT.callsWaitingMax;
        if (waits) count(1);
        return waits;
      },
      waitOver: () => {
        if (waits) count(-1);
        waits = false;
      },
      isWanted: () => !this.#over,
    };
  }

  #arrive(outcome: Acquired, pool: ConnectionPool, version: HttpVersion): void {
    if (outcome.kind === 'failed') {
      if (!this.#over) this.#failed(outcome.problem);
    }
    // Given up meanwhile: the next one can use it.
    else if (this.#over) pool.onIdle(outcome.connection);
    // Others waited for the same connection, and have filled it.
    else if (outcome.connection.capacity() === 0 && !outcome.connection.isIdle()) this.#acquire(pool, version);
    else this.#send(outcome.connection, version);
  }

  #send(connection: ClientConnection, version: HttpVersion): void {
    const { method, target, authority, headers, body } = this.#call;
    const head: RequestHead = {
      ...{ version, method, target, authority, upgrade: null },
      headers: new StringHeaders(headers, headerIdOf),
      hasBody: body !== null,
      contentLength: body?.length ?? null,
    };
    const upstream = connection.send(head, body === null, this);
    // It may have ended at once.
    if (this.#over) return;
    this.#upstream = upstream;
    if (body === null) return;
    // All at once, whether the upstream is full or not: how long it is was bounded before.
    upstream.write(body);
    upstream.end(null);
    upstream.flush();
  }

  /** A connection that ended while it was idle, or was refused, says nothing of what was asked. */
  #failed(problem: UpstreamProblem): void {
    const mayTryAgain = problem.unprocessed || (problem.staleConnection && this.#answer === null);
    if (!mayTryAgain || this.#tries >= TRIES_MAX) {
      this.#fail(problem.details);
      return;
    }
    this.#leave();
    this.start();
  }

  /** The whole answer is there. */
  #complete(trailers: HeaderBlock | null): void {
    this.#upstream = null;
    if (this.#answer === null) this.#fail('its answer has no head');
    else this.finish({ kind: 'answered', ...this.#answer, body: Buffer.concat(this.#pieces), trailers });
  }

  #fail(why: string): void {
    this.finish({ kind: 'failed', why });
  }

  /** The endpoint has one request less to do. */
  #leave(): void {
    if (this.#endpoint !== null) this.#endpoint.active--;
    this.#endpoint = null;
  }
}
