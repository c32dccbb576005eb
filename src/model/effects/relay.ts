import type { Duplex } from 'node:stream';

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
 * Copies both ways until both directions have ended: an end is passed on as an end while the other direction goes on
 * (B22), a reset as a reset, and a side that cannot keep up holds the other one back. Both streams are closed when the
 * promise resolves; it never rejects. The streams must not be read or written by anyone else from here on.
 */
export type Relay = (a: Duplex, b: Duplex, options?: RelayOptions) => Promise<RelayResult>;
