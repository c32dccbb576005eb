import type { Duplex } from 'node:stream';
import type { Mishaps } from '#model/effects/mishaps.ts';
import type { Relay, RelayResult } from '#model/effects/relay.ts';

/** One half of an exchange that switched protocols: a byte stream, with what had been read from it before. */
export type UpgradedHalf = { readonly stream: Duplex; readonly early: Buffer | null };

/** Two halves, and what moves their bytes. */
export type UpgradedParts = {
  readonly relay: Relay;
  readonly mishaps: Mishaps;
  readonly downstream: UpgradedHalf;
  readonly upstream: UpgradedHalf;
};

/**
 * Passes bytes both ways from here on: no engine looks at them any more. `ended` hears how it went, once; what throws on
 * the way ends these two streams and nothing else.
 */
export function relayUpgraded({ relay, mishaps, downstream, upstream }: UpgradedParts, ended: (end: RelayResult) => void): void {
  // Told once whichever way it comes: from within the relay, or from what it ends with.
  const mistaken = (error: unknown): void => mishaps.report('relay', error);
  relay(downstream.stream, upstream.stream, { early: { a: downstream.early, b: upstream.early }, onMistake: mistaken })
    .then(ended)
    .catch((error: unknown) => {
      mistaken(error);
      downstream.stream.destroy();
      upstream.stream.destroy();
    });
}
