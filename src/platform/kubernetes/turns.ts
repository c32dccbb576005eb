/** Places that at most so many have at once; the others wait in order. */
export class Turns {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(places: number) {
    this.#free = places;
  }

  /** Resolves with how to leave, which may be called again. Errors: when `signal` is aborted meanwhile. */
  async enter(signal: AbortSignal): Promise<() => void> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    let isIn = true;
    const leave = (): void => {
      if (!isIn) return;
      isIn = false;
      const next = this.#waiting.shift();
      if (next === undefined) this.#free++;
      else next();
    };
    if (signal.aborted) {
      leave();
      signal.throwIfAborted();
    }
    return leave;
  }
}
