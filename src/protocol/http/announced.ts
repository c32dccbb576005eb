import { mayHaveBody } from '#protocol/http/status.ts';

/**
 * The bytes of one body against what its head announced. What falls short must not pass as complete: where bodies are told
 * apart by their length, the next message would become the rest of this one, for another reader.
 */
export class Announced {
  #left: number | null = null;

  /** Begins a body of so many bytes; null: nothing was announced, and nothing can be wrong. */
  expect(bytes: number | null): void {
    this.#left = bytes;
  }

  /** Counts a piece. False: it is more than was announced, and must not be passed on. */
  take(bytes: number): boolean {
    if (this.#left === null) return true;
    this.#left -= bytes;
    return this.#left >= 0;
  }

  /** Whether the body is as long as it was to be. */
  isWhole(): boolean {
    return this.#left === null || this.#left === 0;
  }
}

/** The bytes that follow a response head: none for HEAD, 1xx, 204 and 304, whatever they announce. */
export function bodyBytesOf(method: string, status: number, contentLength: number | null): number | null {
  return method === 'HEAD' || !mayHaveBody(status) ? 0 : contentLength;
}
