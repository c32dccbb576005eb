/** Stable codes of every error a user can meet; docs/errors.md lists the same set (a test compares them). */
export type WeftErrorOptions = { cause?: unknown; remedy?: string };

/**
 * An error that says what went wrong (`message`), why (`cause`) and what to do (`remedy`).
 * Thrown for conditions of the environment or of the user's input, never for our own mistakes.
 */
export class WeftError extends Error {
  readonly code: string;
  readonly remedy: string | undefined;

  constructor(code: string, message: string, options: WeftErrorOptions = {}) {
    super(message, options.cause === undefined ? {} : { cause: options.cause });
    this.name = 'WeftError';
    this.code = code;
    this.remedy = options.remedy;
  }
}

/** What a caught value says of itself: anything can be thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Marks a branch that the type checker proves to be impossible. */
export function unreachable(value: never): never {
  throw new Error(`unreachable: ${JSON.stringify(value)}`);
}
