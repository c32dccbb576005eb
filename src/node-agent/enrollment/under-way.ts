import type { Clock } from '#model/effects/clock.ts';
import { within } from '#model/effects/within.ts';
import { WeftError } from '#model/error.ts';

/** What this node was asked to do to its workloads and has not done yet: it comes to its end before another agent goes on with the node. */
export class UnderWay {
  readonly #clock: Clock;
  readonly #tasks = new Set<Promise<unknown>>();
  #phase: 'open' | 'closing' | 'closed' = 'open';

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Whether another agent goes on with the node: what has not ended by now must change nothing any more. */
  get closed(): boolean {
    return this.#phase === 'closed';
  }

  /** Errors: WEFT_AGENT_LEAVING when nothing more begins here, those of the task. */
  async run<Result>(task: () => Promise<Result>): Promise<Result> {
    if (this.#phase !== 'open') throw agentLeaving();
    const running = task();
    this.#tasks.add(running);
    try {
      return await running;
    } finally {
      this.#tasks.delete(running);
    }
  }

  /** Errors: WEFT_AGENT_LEAVING once this is closed. */
  check(): void {
    if (this.closed) throw agentLeaving();
  }

  /** Nothing more begins; resolves when all that has begun has ended, or after so long. */
  async close(deadlineMs: number): Promise<void> {
    this.#phase = 'closing';
    await within(this.#clock, deadlineMs, Promise.allSettled([...this.#tasks]));
    this.#phase = 'closed';
  }
}

/** What is done to each workload: one thing at a time. */
export class OneByOne {
  readonly #doing = new Map<string, Promise<void>>();

  /** Resolves when nothing is being done to it, however that ended. */
  async idle(key: string): Promise<void> {
    await this.#doing.get(key)?.catch(() => {}); // told to whoever asked for it
  }

  /** Does it after what is being done; the result is its own. */
  run(key: string, task: () => Promise<void>): Promise<void> {
    const done = (this.#doing.get(key) ?? Promise.resolve()).then(task, task);
    this.#doing.set(key, done);
    const forget = (): void => {
      if (this.#doing.get(key) === done) this.#doing.delete(key);
    };
    done.then(forget, forget);
    return done;
  }
}

/** An enrolment under way; `left`: the workload left meanwhile, so it must come to nothing. */
export type Attempt = { readonly uid: string; left: boolean; done: Promise<unknown> | null };

/** Enrolments under way: one of each workload at a time. */
export class Attempts {
  readonly #attempts = new Set<Attempt>();
  /** Those that failed, and neither left since nor were taken in. */
  readonly #failed = new Set<string>();

  /** Whether the last attempt of each workload, unless that left, took it in. */
  get allSucceeded(): boolean {
    return this.#failed.size === 0;
  }

  /** Errors: those of the task. */
  async run<Result>(uid: string, task: (attempt: Attempt) => Promise<Result>): Promise<Result> {
    const before = [...this.#attempts].findLast((one) => one.uid === uid)?.done ?? null;
    const attempt: Attempt = { uid, left: false, done: null };
    const running = before === null ? task(attempt) : before.then(() => task(attempt));
    attempt.done = running.catch(() => {}); // the next one waits for the end of this, however it ends
    this.#attempts.add(attempt);
    try {
      const result = await running;
      this.#failed.delete(uid);
      return result;
    } catch (error) {
      if (!attempt.left) this.#failed.add(uid);
      throw error;
    } finally {
      this.#attempts.delete(attempt);
    }
  }

  leave(uid: string): void {
    this.#failed.delete(uid);
    for (const attempt of this.#attempts) if (attempt.uid === uid) attempt.left = true;
  }

  leaveAll(): void {
    for (const attempt of this.#attempts) attempt.left = true;
  }
}

/** WEFT_AGENT_LEAVING: whoever asks again finds the next agent. */
export function agentLeaving(): WeftError {
  return new WeftError('WEFT_AGENT_LEAVING', 'another agent goes on with this node', { remedy: 'ask again in a moment' });
}
