import type { Allocations } from '#control-plane/index/vip-allocator.ts';
import type { IpAddress } from '#model/address/ip.ts';
import type { Log } from '#model/effects/log.ts';
import type { StateStore } from '#model/effects/state-store.ts';

/** Where allocated service addresses are kept, as JSON of src/control-plane/index/vip-allocator.ts. */
export const ALLOCATIONS_NAME = 'allocations.json';

/** The addresses that services were given, over restarts: clients hold on to an address that they looked up before. */
export class KeptAllocations {
  readonly #store: StateStore;
  readonly #log: Log;
  #writing: Promise<void> = Promise.resolve();
  #problem: string | null = null;

  constructor(store: StateStore, log: Log) {
    this.#store = store;
    this.#log = log;
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
    const text = JSON.stringify(Object.fromEntries(allocations));
    this.#writing = this.#writing.then(() => this.#write(text));
  }

  /** Resolves when what was to be kept is kept, or could not be. */
  async settled(): Promise<void> {
    await this.#writing;
  }

  /** Why the last state is not kept, or null. */
  problem(): string | null {
    return this.#problem;
  }

  async #write(text: string): Promise<void> {
    try {
      await this.#store.write(ALLOCATIONS_NAME, text, { secret: false });
      this.#problem = null;
    } catch (error) {
      // The mesh goes on with what is in memory; the status page tells.
      this.#problem = error instanceof Error ? error.message : String(error);
      this.#log.error({ err: error }, 'service addresses are not kept');
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
