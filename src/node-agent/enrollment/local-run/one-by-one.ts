import { keyText, type WorkloadKey } from './workload-key.ts';

/** What is done to each workload: one thing at a time. */
export class OneByOne {
  readonly #doing = new Map<string, Promise<void>>();

  /** Resolves when nothing is being done to it, however that ended. */
  async idle(key: WorkloadKey): Promise<void> {
    await this.#doing.get(keyText(key))?.catch(() => {}); // told to whoever asked for it
  }

  /** Does it after what is being done; the result is its own. */
  run(key: WorkloadKey, task: () => Promise<void>): Promise<void> {
    const text = keyText(key);
    const done = (this.#doing.get(text) ?? Promise.resolve()).then(task, task);
    this.#doing.set(text, done);
    const forget = (): void => {
      if (this.#doing.get(text) === done) this.#doing.delete(text);
    };
    done.then(forget, forget);
    return done;
  }
}
