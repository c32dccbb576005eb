/** From which level on records are written, the most talkative first. */
export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;
/** One of them. */
export type LogLevel = (typeof LOG_LEVELS)[number];

/** The level in a text; null when it is none. */
export function readLogLevel(text: string): LogLevel | null {
  return LOG_LEVELS.find((level) => level === text) ?? null;
}

/** The level of a process's log, in memory that its threads share: each reads it before it writes a record. */
export class SharedLogLevel {
  readonly memory: SharedArrayBuffer;
  readonly #cell: Int32Array;

  /** `memory`: that of another thread of the process. */
  constructor(first: LogLevel, memory?: SharedArrayBuffer) {
    this.memory = memory ?? new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
    this.#cell = new Int32Array(this.memory);
    if (memory === undefined) this.set(first);
  }

  get(): LogLevel {
    return LOG_LEVELS[Atomics.load(this.#cell, 0)] ?? 'info';
  }

  set(level: LogLevel): void {
    Atomics.store(this.#cell, 0, LOG_LEVELS.indexOf(level));
  }

  /** Whether records of a level are written. Asked for each record, so without a name: the level's place in LOG_LEVELS. */
  writes(place: number): boolean {
    return place >= (this.#cell[0] ?? 0);
  }
}
