import type { ByteStream } from '#model/effects/byte-stream.ts';
import type { Cut } from '#model/effects/cut.ts';
import type { Mishaps } from '#model/effects/mishaps.ts';
import type { RelayResult, relayed } from '#protocol/stream/relay.ts';

/** The two halves of an exchange that switched protocols, and what moves their bytes. */
export type UpgradedParts = {
  readonly relay: typeof relayed;
  readonly mishaps: Mishaps;
  /** What either has sent since its last message lies in it, unread. */
  readonly downstream: ByteStream;
  readonly upstream: ByteStream;
  /** Ends it from outside. */
  readonly cut: Cut;
};

/**
 * Passes bytes both ways from here on: no engine looks at them any more. `ended` hears how it went, once; what throws on
 * the way ends these two streams and nothing else.
 */
export function relayUpgraded(parts: UpgradedParts, ended: (end: RelayResult) => void): void {
  const { relay, mishaps, downstream, upstream, cut } = parts;
  relay(downstream, upstream, { cut })
    .then(ended)
    .catch((error: unknown) => {
      mishaps.report('relay', error);
      downstream.reset();
      upstream.reset();
    });
}
