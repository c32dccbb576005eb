import type { Mishaps } from '#model/effects/mishaps.ts';
import type { MeterDelta } from '#model/telemetry/meter-deltas.ts';

/** What every data thread is started with; `kind` says whose (src/main/weft.ts). */
export type ThreadData = {
  readonly kind: string;
  /** How many there are. */
  readonly threads: number;
  /** What its log shares with that of the process. */
  readonly log: SharedArrayBuffer;
  /** The level below which it writes nothing. */
  readonly logLevel: SharedArrayBuffer;
};

/** The first word of one that was started ahead. */
export const WAITING = { kind: 'waiting' } as const;

/** What a data thread says: that its program is there, if it was started ahead; what passes the seam, what it has counted and what it has now, and mistakes. */
export type FromThread<ToControl, Counts> =
  | typeof WAITING
  | { readonly kind: 'seam'; readonly message: ToControl }
  | { readonly kind: 'counted'; readonly deltas: readonly MeterDelta[]; readonly counts: Counts }
  | {
      readonly kind: 'mishap';
      readonly entry: Parameters<Mishaps['report']>[0];
      readonly error: unknown;
      readonly fields: string;
    };
