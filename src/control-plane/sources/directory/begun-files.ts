import type { Work } from '#model/effects/work.ts';
import type { Batch, ConfigFiles, FileChanges, ReadFile, UnreadFiles } from './config-files.ts';
import { nextSlice } from './reading-order.ts';
import type { DocumentReading } from './resource-file.ts';

/** What was told together and is on its way: files that are to be read, and then put in force in slices, unless a later text overtakes them. */
export class BegunFiles {
  /** What cannot be read, from the last of them on. */
  unread: UnreadFiles;
  /** Of the files that are not in force yet. */
  readonly #texts: Map<string, string | null>;
  readonly #steady = new Map<string, ReadFile | null>();
  readonly #dropping = new Map<string, ReadFile | null>();
  #isReady = false;

  constructor(texts: FileChanges, unread: UnreadFiles) {
    this.#texts = new Map(texts);
    this.unread = unread;
  }

  get texts(): FileChanges {
    return this.#texts;
  }

  /** Whether all are read. */
  get isReady(): boolean {
    return this.#isReady;
  }

  /** Takes what the documents of their batch say. */
  *readying(files: ConfigFiles, batch: Batch, readings: readonly DocumentReading[]): Work<void> {
    const said = yield* files.saying(batch, readings);
    const drops = new Set<string>();
    for (const [path, file] of said) {
      if (files.droppedBy(path, file).length > 0) drops.add(path);
      yield;
    }
    // Some may have been overtaken meanwhile.
    for (const path of this.#texts.keys()) (drops.has(path) ? this.#dropping : this.#steady).set(path, said.get(path) ?? null);
    this.#isReady = true;
  }

  /** What was told of a file here is never put in force any more. */
  overtake(path: string): void {
    this.#texts.delete(path);
    this.#steady.delete(path);
    this.#dropping.delete(path);
  }

  /** The files that come next. */
  takeSlice(): Map<string, ReadFile | null> {
    const slice = nextSlice({ steady: this.#steady, dropping: this.#dropping });
    for (const path of slice.keys()) this.overtake(path);
    return slice;
  }

  /** All of them. */
  takeAll(): Map<string, ReadFile | null> {
    const all = new Map([...this.#steady, ...this.#dropping]);
    for (const path of all.keys()) this.overtake(path);
    return all;
  }
}
