import type { Duplex } from 'node:stream';

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
export function relayRaw(a: Duplex, b: Duplex, done: (end: RelayEnd) => void): RelayedBytes {
  const bytes: RelayedBytes = { fromA: 0, fromB: 0 };
  let flowing = 2;
  let finished = false;
  const finish = (end: RelayEnd): void => {
    if (finished) return;
    finished = true;
    if (end.kind === 'broken') for (const side of [a, b]) side.destroy();
    done(end);
  };
  const pass = (side: 'a' | 'b', from: Duplex, to: Duplex, count: (length: number) => void): void => {
    from.on('data', (data: Buffer) => {
      count(data.length);
      if (!to.write(data)) from.pause();
    });
    from.on('end', () => {
      to.end();
      if (--flowing === 0) finish({ kind: 'complete' });
    });
    to.on('drain', () => from.resume());
    from.on('error', (error) => finish({ kind: 'broken', side, error }));
    // Closed before both directions ended: the other side must learn of it.
    from.on('close', () => finish({ kind: 'broken', side, error: new Error('connection closed') }));
    from.resume();
  };
  pass('a', a, b, (length) => (bytes.fromA += length));
  pass('b', b, a, (length) => (bytes.fromB += length));
  return bytes;
}
