import type { Duplex } from 'node:stream';

/** One side of a relay, with what was already read from it. */
export type RelaySide = { readonly stream: Duplex; readonly early: Buffer | null };

/** Bytes moved so far; grows while the relay runs. */
export type RelayedBytes = { fromA: number; fromB: number };

/** Both directions ended, or one side broke. */
export type RelayEnd =
  | { readonly kind: 'complete' }
  | { readonly kind: 'broken'; readonly side: 'a' | 'b'; readonly error: Error };

/**
 * Moves bytes both ways until both sides have ended, or one broke (both are then destroyed). A side that ends is
 * passed on as a half-close; a slow side stops the other. `done` is called once.
 */
export function relayRaw(a: RelaySide, b: RelaySide, done: (end: RelayEnd) => void): RelayedBytes {
  const bytes: RelayedBytes = { fromA: 0, fromB: 0 };
  let flowing = 2;
  let finished = false;
  const finish = (end: RelayEnd): void => {
    if (finished) return;
    finished = true;
    if (end.kind === 'broken') for (const { stream } of [a, b]) stream.destroy();
    done(end);
  };
  const onEnd = (to: Duplex): void => {
    to.end();
    if (--flowing === 0) finish({ kind: 'complete' });
  };
  const pass = (side: 'a' | 'b', { stream: from, early }: RelaySide, to: Duplex, count: (length: number) => void): void => {
    const take = (data: Buffer): void => {
      count(data.length);
      if (!to.write(data)) from.pause();
    };
    from.on('data', take);
    from.on('end', () => onEnd(to));
    to.on('drain', () => from.resume());
    from.on('error', (error) => finish({ kind: 'broken', side, error }));
    // Closed before both directions ended: the other side must learn of it.
    from.on('close', () => finish({ kind: 'broken', side, error: new Error('connection closed') }));
    from.resume();
    if (early !== null && early.length > 0) take(early);
    if (from.readableEnded) onEnd(to);
  };
  pass('a', a, b.stream, (length) => {
    bytes.fromA += length;
  });
  pass('b', b, a.stream, (length) => {
    bytes.fromB += length;
  });
  return bytes;
}
