/** A parser of outside bytes, and what must hold for any bytes at all. */
export type FuzzTarget = {
  /** Name of its corpus, `fuzz/corpus/<name>.txt`, and of the target on the command line. */
  readonly name: string;
  /** Pieces that inputs of this kind are made of; mutations splice them in. */
  readonly tokens: readonly string[];
  /** A run takes milliseconds: a tenth of the runs of the others. */
  readonly slow?: boolean;
  /** Throws when the parser breaks its promise. `cut`: where the input is split in two, for parsers that read pieces. */
  check(bytes: Buffer, cut: number): void | Promise<void>;
};

/** What a target throws when an answer is wrong rather than missing. */
export function require(held: boolean, promise: string): void {
  if (!held) throw new Error(`broken promise: ${promise}`);
}

/** Whether two readings are the same, compared as JSON; buffers compare by content. */
export function requireSame(one: unknown, other: unknown, promise: string): void {
  const [a, b] = [JSON.stringify(one), JSON.stringify(other)];
  if (a !== b) throw new Error(`broken promise: ${promise}\n  ${a}\n  ${b}`);
}
