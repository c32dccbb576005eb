import { systemRandom } from '#platform/random.ts';

/**
 * The control planes of a mesh, as an endpoint names them: `host:port`, several divided by commas. One of them is asked for as long as it does what it
 * is asked, then the next. Who begins does so with any of them, so that not all nodes go to the same.
 */
export class ControlTargets {
  readonly #addresses: readonly string[];
  #at: number;

  constructor(address: string, random = systemRandom) {
    this.#addresses = address.split(',');
    this.#at = Math.floor(random() * this.#addresses.length);
  }

  get count(): number {
    return this.#addresses.length;
  }

  /** The one that is asked now. */
  get current(): string {
    return this.#addresses[this.#at] ?? '';
  }

  /** Asks another one from now on, unless somebody did so already. `from`: the one that failed. */
  leave(from: string): void {
    if (this.current === from) this.#at = (this.#at + 1) % this.#addresses.length;
  }
}
