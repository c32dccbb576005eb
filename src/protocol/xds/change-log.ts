/** How far one follower has read in both lanes of a log. */
export type LogCursor = { removed: number; updated: number };

/** Fewer notes than this that everybody has read are kept: taking them out costs more than they do. */
const TRIM_MIN = 1_024;

/** Names in the order of their last note, each once. */
class Lane {
  /** null: noted again further on, or no longer of this lane. */
  readonly #names: (string | null)[] = [];
  readonly #positions = new Map<string, number>();
  /** Position of the first element of `#names`. */
  #first = 0;

  get end(): number {
    return this.#first + this.#names.length;
  }

  note(name: string): void {
    this.drop(name);
    this.#positions.set(name, this.end);
    this.#names.push(name);
  }

  drop(name: string): void {
    const position = this.#positions.get(name);
    if (position === undefined) return;
    this.#names[position - this.#first] = null;
    this.#positions.delete(name);
  }

  at(position: number): string | null {
    return this.#names[position - this.#first] ?? null;
  }

  /** Forgets what lies before `position`, when that is worth its while. */
  trimTo(position: number): void {
    const count = position - this.#first;
    if (count < TRIM_MIN || count * 2 < this.#names.length) return;
    for (const name of this.#names.splice(0, count)) if (name !== null) this.#positions.delete(name);
    this.#first = position;
  }
}

/**
 * Which resources of a type changed, kept once for all clients: each follows with a cursor, so a client that is behind costs
 * two numbers, however much it has missed. What went is a lane of its own, so that it overtakes what came.
 */
export class ChangeLog {
  readonly #removed = new Lane();
  readonly #updated = new Lane();
  readonly #cursors = new Set<LogCursor>();

  /** `name` is there, and is another one than before. */
  updated(name: string): void {
    this.#removed.drop(name);
    this.#updated.note(name);
  }

  /** `name` is gone. */
  removed(name: string): void {
    this.#updated.drop(name);
    this.#removed.note(name);
  }

  /** A cursor at the end: what is noted from now on is still to be read. */
  follow(): LogCursor {
    const cursor = { removed: this.#removed.end, updated: this.#updated.end };
    this.#cursors.add(cursor);
    return cursor;
  }

  /** The log keeps nothing for this cursor any more. */
  unfollow(cursor: LogCursor): void {
    this.#cursors.delete(cursor);
  }

  /** Moves a cursor to the end. */
  skip(cursor: LogCursor): void {
    cursor.removed = this.#removed.end;
    cursor.updated = this.#updated.end;
  }

  /** How much a cursor has still to read, at most. */
  pending(cursor: LogCursor): number {
    return this.#removed.end - cursor.removed + this.#updated.end - cursor.updated;
  }

  /** The next name that is gone; null: there is none left. Moves the cursor. */
  nextRemoved(cursor: LogCursor): string | null {
    while (cursor.removed < this.#removed.end) {
      const name = this.#removed.at(cursor.removed++);
      if (name !== null) return name;
    }
    return null;
  }

  /** The next name that is new or different; null: there is none left. Moves the cursor. */
  nextUpdated(cursor: LogCursor): string | null {
    while (cursor.updated < this.#updated.end) {
      const name = this.#updated.at(cursor.updated++);
      if (name !== null) return name;
    }
    return null;
  }

  /** Forgets what every follower has read. To be called after each round of changes; costs nothing until it is worth it. */
  trim(): void {
    let removed = this.#removed.end;
    let updated = this.#updated.end;
    for (const cursor of this.#cursors) {
      removed = Math.min(removed, cursor.removed);
      updated = Math.min(updated, cursor.updated);
    }
    this.#removed.trimTo(removed);
    this.#updated.trimTo(updated);
  }
}
