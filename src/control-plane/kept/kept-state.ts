import type { Cancel, Clock } from '#model/effects/clock.ts';
import type { Log } from '#model/effects/log.ts';
import { messageOf } from '#model/error.ts';
import { CONTROL } from '#model/settings/control-planes.ts';
import { decodeServed, decodeValues, encodeServed, encodeValues, type ServedSegment } from './segments.ts';

/** Where pieces are kept, by words that are made of their content: what was damaged is not found. */
export type PieceStore = {
  /** The list of what belongs together; null: there is none. */
  readList(): Promise<string | null>;
  /** Errors: Error when there is none of that name, or it is not what was written. */
  read(id: string): Promise<Buffer>;
  /** Writes a piece, and returns its name. */
  write(piece: Buffer): Promise<string>;
  /** Writes the list, whole or not at all, and removes pieces that `ids` does not name. */
  writeList(list: string, ids: readonly string[]): Promise<void>;
};

/** From what the state was made: it is of use only where all of that is the same. */
export type Sources = {
  /** The build of Weft, and what the mesh was told at its start. */
  build: string;
  /** Digest of the text of all configuration. */
  configuration: string;
  /** Digest of what nodes registered. */
  registrations: string;
};

/** What is in force at one moment. */
export type Moment = {
  sources: Sources;
  /** Pieces by a key that stays with them; `revision` is another one once the piece is. What is served is to be taken at once. */
  served: readonly { key: string; revision: number; take(): ServedSegment }[];
  parts: readonly { key: string; revision: string; take(): readonly object[] }[];
};

type Written = [word: string, id: string];
type List = { format: 3; sources: Sources; served: Written[]; parts: Written[] };

const FORMAT = 3;

/** What is needed to keep a state; fewer addresses and policies than `from` are not worth it. */
export type KeptStateOptions = { store: PieceStore; build: string; from: number; clock: Clock; log: Log };

/**
 * What was in force, over restarts: a control plane that finds it again, and its files and registrations unchanged, serves it at
 * once and derives it afterwards. What is damaged, or of another build, is as if there were none.
 */
export class KeptState {
  readonly build: string;
  readonly from: number;
  readonly #options: KeptStateOptions;
  /** Key and revision → name of a piece that lies there already. */
  #written = new Map<string, string>();
  #list: List | null = null;
  #problem: string | null = null;
  #cancel: Cancel | null = null;
  #writing: Promise<void> | null = null;
  #wanted: (() => Moment | null) | null = null;

  constructor(options: KeptStateOptions) {
    this.#options = options;
    this.build = options.build;
    this.from = options.from;
  }

  /** Looks for what was kept before the last stop. Never throws: what cannot be read is told, and not used. */
  async open(): Promise<void> {
    try {
      const text = await this.#options.store.readList();
      if (text === null) return;
      const list: List = JSON.parse(text);
      if (list.format !== FORMAT || list.sources.build !== this.build) return;
      this.#list = list;
      // Revisions of parts are words for their content, so those that lie there are as good as new.
      this.#written = new Map(list.parts);
    } catch (error) {
      this.#damaged(error);
    }
  }

  /** What was served, if it was made of exactly this; null otherwise. */
  async served(configuration: string, registrations: string): Promise<readonly ServedSegment[] | null> {
    const list = this.#list;
    if (list === null || list.sources.configuration !== configuration || list.sources.registrations !== registrations)
      return null;
    const served = await this.#readAll(
      list.served.map(([, id]) => id),
      decodeServed,
    );
    // What is restored lies in the same pieces, in which nothing has changed since.
    if (served !== null) for (const [word, id] of list.served) this.#written.set(wordOf({ key: keyIn(word), revision: 0 }), id);
    return served;
  }

  /** What a source made of its content, which it finds again by that: it may be of other content. */
  async parts(): Promise<readonly object[]> {
    const parts = await this.#readAll(this.#list?.parts.map(([, id]) => id) ?? [], decodeValues);
    this.#list = null;
    return parts?.flat() ?? [];
  }

  /** Keeps what `moment` tells some time from now, when nothing has changed for a while, or has for long. null: not now. */
  keep(moment: () => Moment | null): void {
    this.#wanted = moment;
    this.#cancel ??= this.#options.clock.after(CONTROL.keepStateAfterMs, () => {
      this.#cancel = null;
      this.#begin();
    });
  }

  /** Keeps now what waits to be kept; resolves when it is, or could not be. */
  async settled(): Promise<void> {
    this.#cancel?.();
    this.#cancel = null;
    await this.#writing;
    this.#begin();
    await this.#writing;
  }

  /** What is wrong with what is kept, in a sentence; null: nothing. */
  problem(): string | null {
    return this.#problem;
  }

  #begin(): void {
    const wanted = this.#wanted;
    if (wanted === null) return;
    const moment = this.#writing === null ? wanted() : null;
    if (moment === null) {
      this.keep(wanted);
      return;
    }
    this.#wanted = null;
    this.#writing = this.#write(moment)
      .catch((error: unknown) => {
        // The mesh goes on with what is in memory: only the next start is slower.
        this.#problem = `what is in force is not kept for a quick start: ${messageOf(error)}`;
        this.#options.log.warn({ err: error }, 'what is in force is not kept: the next start derives it anew');
      })
      .finally(() => {
        this.#writing = null;
      });
  }

  /** One piece after the other, each on the disk before the next is made: memory is taken for one of them. */
  async #write({ sources, served, parts }: Moment): Promise<void> {
    const isFresh = (piece: { key: string; revision: string | number }) => !this.#written.has(wordOf(piece));
    // Taken before anything changes; to make bytes of them takes longer.
    const taken = served.filter(isFresh).map((piece) => ({ word: wordOf(piece), segment: piece.take() }));
    for (const { word, segment } of taken) await this.#writePiece(word, encodeServed(segment));
    for (const piece of parts.filter(isFresh)) await this.#writePiece(wordOf(piece), encodeValues(piece.take()));
    const idsOf = (pieces: readonly { key: string; revision: string | number }[]) =>
      pieces.map((piece): Written => [wordOf(piece), this.#written.get(wordOf(piece)) ?? '']);
    const list: List = { format: FORMAT, sources, served: idsOf(served), parts: idsOf(parts) };
    const named = [...list.served, ...list.parts];
    await this.#options.store.writeList(
      JSON.stringify(list),
      named.map(([, id]) => id),
    );
    this.#written = new Map(named);
    this.#problem = null;
  }

  async #writePiece(word: string, bytes: Buffer): Promise<void> {
    this.#written.set(word, await this.#options.store.write(bytes));
  }

  async #readAll<Piece>(ids: readonly string[], decode: (bytes: Buffer) => Piece): Promise<Piece[] | null> {
    try {
      const pieces: Piece[] = [];
      // Each read is a turn of its own.
      for (const id of ids) pieces.push(decode(await this.#options.store.read(id)));
      return pieces;
    } catch (error) {
      this.#damaged(error);
      return null;
    }
  }

  #damaged(error: unknown): void {
    this.#list = null;
    this.#written = new Map();
    this.#problem = `what was kept for a quick start is damaged, and was not used: ${messageOf(error)}`;
    this.#options.log.warn({ err: error }, 'what was kept for a quick start is damaged: everything is read and derived anew');
  }
}

function wordOf({ key, revision }: { key: string; revision: string | number }): string {
  return `${key} ${revision}`;
}

function keyIn(word: string): string {
  return word.slice(0, word.lastIndexOf(' '));
}
