/** How a connection is ended from outside: at most once, with a cause. Lighter than an AbortController, one of which each connection would need. */
export class Cut {
  #reason: Error | null = null;
  #listener: ((reason: Error) => void) | null = null;

  /** Null while nobody has cut it. */
  get reason(): Error | null {
    return this.#reason;
  }

  /** The first cause counts. */
  abort(reason: Error): void {
    if (this.#reason !== null) return;
    this.#reason = reason;
    this.#listener?.(reason);
  }

  /** One listener at a time: whoever holds the connection now; null when it needs none any more. At once when it is cut already. */
  listen(listener: ((reason: Error) => void) | null): void {
    this.#listener = listener;
    if (this.#reason !== null) listener?.(this.#reason);
  }
}
