import type { Allocations } from '#control-plane/index/vip-allocator.ts';
import type { IpAddress } from '#model/address/ip.ts';
import type { Log } from '#model/effects/log.ts';
import { isNotLeader } from '#model/effects/replica.ts';
import type { StateStore } from '#model/effects/state-store.ts';
import { Retry, type RetryEffects } from '#model/resilience/retry.ts';
import { CONTROL } from '#model/settings/control-planes.ts';

/** Where allocated service addresses are kept, as JSON of src/control-plane/index/vip-allocator.ts. */
export const ALLOCATIONS_NAME = 'allocations.json';

/** The addresses that services were given, over restarts: clients hold on to an address that they looked up before. */
export class KeptAllocations {
  readonly #store: StateStore;
  readonly #log: Log;
  readonly #retry: Retry;
  /** What was to be kept last. */
  #latest = '';
  #writing: Promise<void> = Promise.resolve();
  #problem: string | null = null;

  constructor(store: StateStore, log: Log, effects: RetryEffects) {
    this.#store = store;
    this.#log = log;
    const backoff = { firstMs: CONTROL.keepAgainFirstMs, maxMs: CONTROL.keepAgainMaxMs };
    this.#retry = new Retry(effects, backoff, () => this.#keepText(this.#latest));
  }

  /** What was kept before the last stop; none when it cannot be understood. Errors: WEFT_STATE_DIR. */
  async load(): Promise<Allocations> {
    return this.read(await this.#store.read(ALLOCATIONS_NAME));
  }

  /** What a kept text says; null: there is none. */
  read(text: string | null): Allocations {
    if (text === null) return {};
    try {
      return parseAllocations(text);
    } catch (error) {
      this.#log.warn({ file: ALLOCATIONS_NAME, err: error }, 'kept service addresses cannot be read; they are allocated anew');
      return {};
    }
  }

  /** Keeps all of them; one after the other, so that the last state is the one that stays. */
  keep(allocations: ReadonlyMap<string, readonly IpAddress[]>): void {
    this.#latest = JSON.stringify(Object.fromEntries(allocations));
    this.#keepText(this.#latest);
  }

  /** Resolves when what was to be kept is kept, or could not be. */
  async settled(): Promise<void> {
    await this.#writing;
  }

  /** Why the last state is not kept, or null. */
  problem(): string | null {
    return this.#problem;
  }

  #keepText(text: string): void {
    this.#retry.begun();
    this.#writing = this.#writing.then(() => this.#write(text));
  }

  async #write(text: string): Promise<void> {
    try {
      await this.#store.write(ALLOCATIONS_NAME, text, { secret: false });
      this.#problem = null;
      this.#retry.succeeded();
    } catch (error) {
      // The mesh goes on with what is in memory; the status page tells.
      this.#problem = error instanceof Error ? error.message : String(error);
      this.#log.error({ err: error }, 'service addresses are not kept');
      // The store may have been away for a moment, and nothing else may change for days. Who does not lead has nothing to write.
      if (!isNotLeader(error) && text === this.#latest) this.#retry.failed();
    }
  }
}

/** What is read was written by us, but a person may have edited it. Errors: Error with what is wrong. */
function parseAllocations(text: string): Allocations {
  const parsed: unknown = JSON.parse(text);
  if (typeof parsed !== 'object' || parsed === null) throw new Error('it is no object');
  const isTexts = (value: unknown) => Array.isArray(value) && value.every((item) => typeof item === 'string');
  if (!Object.values(parsed).every(isTexts)) throw new Error('it holds something that is no list of addresses');
  return parsed as Allocations;
}
