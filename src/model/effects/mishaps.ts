import { TELEMETRY } from '#model/settings/telemetry.ts';
import type { Clock } from './clock.ts';
import type { Log } from './log.ts';

/**
 * Where work begins on behalf of one connection, query, stream or message. Each of them catches what its work throws, drops
 * that one, and reports it here; `process` is the last resort: what none of them caught.
 */
export const ENTRIES = [
  'accept',
  'tunnel',
  'relay',
  'request',
  'upstream',
  'datagram',
  'timer',
  'discovery',
  'kernel-event',
  'call',
  'process',
] as const;
/** One of ENTRIES. */
export type Entry = (typeof ENTRIES)[number];

/** Takes mistakes of ours that a single connection or message brought to light: told and counted, never thrown. */
export type Mishaps = {
  /** `fields`: which connection or message it was, as far as that is known. */
  report(entry: Entry, error: unknown, fields?: object): void;
  /** How many there were since the start. */
  counts(): ReadonlyMap<Entry, number>;
};

/** Keeps nothing: for what is expected to make none. */
export const SILENT_MISHAPS: Mishaps = { report() {}, counts: () => new Map() };

/** What one entry has written in the present period. */
type Written = { sinceMs: number; lines: number; leftOut: number };

/** Counts all, and writes a bounded number of lines per entry: a client that found a mistake can repeat it at will. */
export function createMishaps(log: Log, clock: Clock): Mishaps {
  const counts = new Map<Entry, number>();
  const written = new Map<Entry, Written>();
  return {
    report(entry, error, fields = {}) {
      counts.set(entry, (counts.get(entry) ?? 0) + 1);
      const nowMs = clock.monotonicMs();
      const known = written.get(entry);
      const current = known !== undefined && nowMs - known.sinceMs < TELEMETRY.mishapPeriodMs ? known : fresh(nowMs, known);
      written.set(entry, current);
      if (current.lines >= TELEMETRY.mishapLinesMax) {
        current.leftOut++;
        return;
      }
      current.lines++;
      // What was left out is told with the first line of the next period.
      const leftOut = current.leftOut === 0 ? {} : { left_out: current.leftOut };
      current.leftOut = 0;
      log.error({ ...fields, entry, ...leftOut, err: error }, 'a mistake of this program: what it happened over was dropped');
    },
    counts: () => counts,
  };
}

function fresh(sinceMs: number, before: Written | undefined): Written {
  return { sinceMs, lines: 0, leftOut: before?.leftOut ?? 0 };
}

/** Runs `act`; what it throws is reported, and `drop` ends what it happened over. */
export function guard(mishaps: Mishaps, entry: Entry, act: () => void, drop: (error: unknown) => void): void {
  try {
    act();
  } catch (error) {
    mishaps.report(entry, error);
    drop(error);
  }
}

/**
 * The same for work that goes on: a mistake of ours that one connection brings to light must not end all others. It is told,
 * and `drop` ends that one.
 */
export function guardWork(mishaps: Mishaps, entry: Entry, work: Promise<void>, drop: () => void): void {
  work.catch((error: unknown) => {
    mishaps.report(entry, error);
    drop();
  });
}

/** Timers whose tasks may throw: only that one turn of that one timer is lost. */
export function guardedClock(clock: Clock, mishaps: Mishaps): Clock {
  const guarded = (task: () => void) => (): void => guard(mishaps, 'timer', task, () => {});
  return {
    nowMs: () => clock.nowMs(),
    monotonicMs: () => clock.monotonicMs(),
    after: (delayMs, task) => clock.after(delayMs, guarded(task)),
    every: (periodMs, task) => clock.every(periodMs, guarded(task)),
  };
}

/**
 * A listener whose own mistakes go to `caught` instead of up through whoever emitted the event: there nobody could tell
 * which connection they belong to, and the process would have to take them for its own.
 */
export function caughtBy(caught: (error: unknown) => void, listener: () => void): () => void;
export function caughtBy<Argument>(
  caught: (error: unknown) => void,
  listener: (argument: Argument) => void,
): (argument: Argument) => void;
export function caughtBy<Argument>(caught: (error: unknown) => void, listener: (argument: Argument) => void) {
  return (argument: Argument): void => {
    try {
      listener(argument);
    } catch (error) {
      caught(error);
    }
  };
}

/** For promises that cannot reject but by a mistake, where nobody is nearer to it than the process: hands it to the last resort. */
export function toLastResort(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}

/** Acts where what it throws has been told already, and would only hide the first mistake. */
export function regardless(act: () => void): void {
  try {
    act();
  } catch {
    // a consequence of what was told before
  }
}
