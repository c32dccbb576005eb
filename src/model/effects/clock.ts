/** Stops a timer; calling it again does nothing. */
export type Cancel = () => void;

/** Time as an argument: the real one lives in src/platform/clock.ts, a stepped one in tests. */
export type Clock = {
  /** Milliseconds since the Unix epoch, by the machine's clock, which somebody may set. For what the world outside dates, too. */
  nowMs(): number;
  /** Milliseconds since some moment before: they go on evenly, whatever is done to the machine's clock. For how long something takes. */
  monotonicMs(): number;
  /** Runs `task` once after `delayMs`; does not keep the process alive. */
  after(delayMs: number, task: () => void): Cancel;
  /** Runs `task` every `periodMs`; does not keep the process alive. */
  every(periodMs: number, task: () => void): Cancel;
};

/** A number in [0, 1). */
export type Random = () => number;
