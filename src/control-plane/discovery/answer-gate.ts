/**
 * Lets only so many clients have the answer to a request under way at the same time. An answer can be the whole mesh, and
 * it stays in memory until its client has taken it: without a bound a fleet that starts at once would fill the memory.
 */
export class AnswerGate {
  readonly #placesMax: number;
  readonly #inside = new Set<object>();
  /** Who waits, in order, and how to tell that there is a place. */
  readonly #waiting = new Map<object, () => void>();

  constructor(placesMax: number) {
    this.#placesMax = placesMax;
  }

  /** True when `client` may answer now. If not, `proceed` is called once, when it should try again. */
  enter(client: object, proceed: () => void): boolean {
    if (this.#inside.has(client)) return true;
    if (this.#inside.size >= this.#placesMax) {
      this.#waiting.set(client, proceed);
      return false;
    }
    this.#waiting.delete(client);
    this.#inside.add(client);
    return true;
  }

  /** Gives up a place, or the wait for one. */
  leave(client: object): void {
    this.#waiting.delete(client);
    if (!this.#inside.delete(client)) return;
    const [next] = this.#waiting;
    if (next === undefined) return;
    this.#waiting.delete(next[0]);
    next[1]();
  }
}
