import net from 'node:net';
import type { Duplex } from 'node:stream';
import { caughtBy } from '#model/effects/mishaps.ts';
import { DuplexEnd } from '#platform/relay/duplex-end.ts';
import type { RelayEnd } from '#platform/relay/relay-end.ts';
import { SocketEnd } from '#platform/relay/socket-end.ts';

/** How a relay is begun, watched and stopped. */
export type RelayOptions = {
  /** What was read from a side before the relay began: it is passed on first. */
  readonly early?: { readonly a?: Buffer | null; readonly b?: Buffer | null };
  /** Called for each chunk that is passed on. */
  onBytes?(from: 'a' | 'b', bytes: number): void;
  /** A mistake of ours while bytes were passed on; both sides have been cut by then. */
  onMistake?(error: unknown): void;
  /** Cuts both sides, with resets; its reason becomes the result's error. */
  readonly signal?: AbortSignal;
};

/** `brokenBy`: the side that broke off or failed first; null when both ended in order, or the signal cut them. */
export type RelayResult = { bytesFromA: number; bytesFromB: number; error: Error | null; brokenBy: 'a' | 'b' | null };

/**
 * For those who have streams of Node.js. Copies both ways until both directions have ended: an end is passed on as an end while the other direction goes on
 * (B22), a reset as a reset, and a side that cannot keep up holds the other one back. Both streams are closed when the
 * promise resolves; it never rejects. The streams must not be read or written by anyone else from here on.
 */
export function relay(a: Duplex, b: Duplex, options: RelayOptions = {}): Promise<RelayResult> {
  return new Promise((resolve) => new Relay(a, b, options, resolve).start());
}

/** Sockets are read past the stream machinery; anything else as a stream. */
function endOf(duplex: Duplex): RelayEnd {
  return duplex instanceof net.Socket ? new SocketEnd(duplex) : new DuplexEnd(duplex);
}

/** Over, in order or not: nothing more will be told of it. */
function isDone(duplex: Duplex): boolean {
  return duplex.destroyed || (duplex.readableEnded && duplex.writableFinished);
}

/** Ended in order, in both directions. */
function isComplete(duplex: Duplex): boolean {
  return duplex.readableEnded && duplex.writableFinished;
}

/** One connection: two ends, each of which feeds the other until both are done. */
class Relay {
  readonly #a: Duplex;
  readonly #b: Duplex;
  readonly #endA: RelayEnd;
  readonly #endB: RelayEnd;
  readonly #options: RelayOptions;
  readonly #resolve: (result: RelayResult) => void;
  readonly #result: RelayResult = { bytesFromA: 0, bytesFromB: 0, error: null, brokenBy: null };
  #aborted = false;
  #settled = false;

  constructor(a: Duplex, b: Duplex, options: RelayOptions, resolve: (result: RelayResult) => void) {
    this.#a = a;
    this.#b = b;
    this.#endA = endOf(a);
    this.#endB = endOf(b);
    this.#options = options;
    this.#resolve = resolve;
  }

  start(): void {
    const { signal, early } = this.#options;
    // Before anything else: an end that is passed on must come after it.
    this.#passEarly(early?.a ?? null, this.#b, this.#endB, (bytes) => this.#countA(bytes));
    this.#passEarly(early?.b ?? null, this.#a, this.#endA, (bytes) => this.#countB(bytes));
    this.#watch('a', this.#a, this.#endB);
    this.#watch('b', this.#b, this.#endA);
    signal?.addEventListener('abort', this.#onSignal, { once: true });
    if (signal?.aborted) this.#onSignal();
    if (this.#a.destroyed) this.#break('a', this.#a.errored);
    else if (this.#b.destroyed) this.#break('b', this.#b.errored);
    if (this.#aborted) return;
    this.#connect(this.#endA, this.#endB, (bytes) => this.#countA(bytes));
    this.#connect(this.#endB, this.#endA, (bytes) => this.#countB(bytes));
  }

  // One method per side, without a branch: they run for each chunk.
  #countA(bytes: number): void {
    this.#result.bytesFromA += bytes;
    this.#options.onBytes?.('a', bytes);
  }

  /** Half of a chunk may have been passed on: the connection ends, others do not hear of it. */
  readonly #onMistake = (error: unknown): void => {
    this.#abort(error instanceof Error ? error : new Error(String(error)));
    this.#options.onMistake?.(error);
  };

  #countB(bytes: number): void {
    this.#result.bytesFromB += bytes;
    this.#options.onBytes?.('b', bytes);
  }

  #passEarly(bytes: Buffer | null, duplex: Duplex, to: RelayEnd, count: (bytes: number) => void): void {
    if (bytes === null || bytes.length === 0 || duplex.destroyed) return;
    count(bytes.length);
    to.write(bytes, 0, bytes.length);
    to.flush();
  }

  #connect(from: RelayEnd, to: RelayEnd, count: (bytes: number) => void): void {
    // `from` reads into a buffer that others use, too: `to` has taken the bytes, or copied them, when it returns.
    to.onReady(caughtBy(this.#onMistake, () => from.resume()));
    from.read({
      bytes: (buffer, start, end) => {
        try {
          count(end - start);
          return to.write(buffer, start, end);
        } catch (error) {
          this.#onMistake(error);
          return false;
        }
      },
      flush: caughtBy(this.#onMistake, () => to.flush()),
    });
  }

  #watch(side: 'a' | 'b', duplex: Duplex, other: RelayEnd): void {
    duplex.on('end', () => {
      other.end();
      this.#settleIfDone();
    });
    duplex.on('finish', () => this.#settleIfDone());
    duplex.on('error', (error) => this.#break(side, error));
    // A cut need not come with an error: a close before both directions have ended is one.
    duplex.on('close', () => {
      if (!isComplete(duplex)) this.#break(side, null);
      this.#settleIfDone();
    });
    // A side that was already ended when the relay began emits no 'end' any more.
    if (duplex.readableEnded) other.end();
  }

  readonly #onSignal = (): void => {
    const reason: unknown = this.#options.signal?.reason;
    this.#abort(reason instanceof Error ? reason : new Error('the relay was stopped'));
  };

  #break(side: 'a' | 'b', error: Error | null): void {
    if (this.#aborted) return;
    this.#result.brokenBy = side;
    this.#abort(error);
  }

  #abort(error: Error | null): void {
    // Once: the closes that follow are its own doing, and no further cause.
    if (this.#aborted) return;
    this.#aborted = true;
    this.#result.error ??= error;
    this.#endA.abort(error);
    this.#endB.abort(error);
    this.#settleIfDone();
  }

  #settleIfDone(): void {
    if (this.#settled || !isDone(this.#a) || !isDone(this.#b)) return;
    this.#settled = true;
    // A signal may outlive the connection, and would keep all of it.
    this.#options.signal?.removeEventListener('abort', this.#onSignal);
    this.#resolve(this.#result);
  }
}
