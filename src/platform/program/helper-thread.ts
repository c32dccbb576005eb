import { Worker } from 'node:worker_threads';
import type { Cancel, Clock } from '#model/effects/clock.ts';
import { WEFT_PROGRAM } from './installation.ts';

/** Parts that the thread has been given and has not answered: it never waits, and this thread never has much to take at once. */
const AHEAD = 2;

/**
 * A thread of this program that turns parts of something into answers, started when there is something to do and ended after
 * `idleMs` without. `data.kind` says what it does (src/main/weft.ts). One `ask` at a time.
 */
export class HelperThread<Part, Answer> {
  readonly #data: { readonly kind: string };
  readonly #idleMs: number;
  readonly #clock: Clock;
  #worker: Worker | null = null;
  #cancelIdle: Cancel | null = null;

  constructor(data: { readonly kind: string }, idleMs: number, clock: Clock) {
    this.#data = data;
    this.#idleMs = idleMs;
    this.#clock = clock;
  }

  /** The answers to all parts, in their order. Errors: when the thread ends before it has given them. */
  async ask(parts: readonly Part[]): Promise<Answer[]> {
    if (parts.length === 0) return [];
    this.#cancelIdle?.();
    this.#worker ??= this.#start();
    try {
      return await answersOf<Part, Answer>(this.#worker, parts);
    } catch (error) {
      this.close();
      throw error;
    } finally {
      this.#cancelIdle = this.#clock.after(this.#idleMs, () => this.close());
    }
  }

  #start(): Worker {
    const worker = new Worker(WEFT_PROGRAM, { workerData: this.#data, argv: [], name: this.#data.kind });
    const forget = (): void => {
      if (this.#worker === worker) this.#worker = null;
    };
    // Whoever waits for it hears of it, too.
    worker.on('error', forget).on('exit', forget);
    return worker;
  }

  close(): void {
    this.#cancelIdle?.();
    // It holds nothing that is not held here; how it ends is of no interest.
    this.#worker?.terminate().catch(() => {});
    this.#worker = null;
  }
}

function answersOf<Part, Answer>(worker: Worker, parts: readonly Part[]): Promise<Answer[]> {
  const answers: Answer[] = [];
  let sent = 0;
  const send = (): void => {
    while (sent < Math.min(parts.length, answers.length + AHEAD)) worker.postMessage(parts[sent++]);
  };
  const { promise, resolve, reject } = Promise.withResolvers<Answer[]>();
  const onAnswer = (answer: Answer): void => {
    answers.push(answer);
    if (answers.length === parts.length) resolve(answers);
    else send();
  };
  const onExit = (code: number): void => reject(new Error(`it ended with exit code ${code}`));
  worker.on('message', onAnswer).on('error', reject).on('exit', onExit);
  send();
  return promise.finally(() => worker.off('message', onAnswer).off('error', reject).off('exit', onExit));
}
