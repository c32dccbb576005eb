import { addTo, LabelIndex, removeFrom, SelectorIndex } from '#control-plane/index/label-index.ts';
import type { Labels } from '#control-plane/resources/metadata.ts';

/** A place where it is remembered that something was looked up by a word. */
type Place = { forget(word: string, reading: Reading): void };

/** Something that was looked up, and where. */
type LookUp = { place: Place; word: string };

/** Shared by all that remember nothing, which most do. */
const NONE: readonly never[] = [];

/** Labels for which selectors were looked up, and the tables in which they were. */
type Picked = { reading: Reading; namespace: string; labels: Labels; where: object[] };

/**
 * What one derivation of one subject has looked up, and how it is told that an answer has changed. Most runs look up what
 * the run before did, in the same order: then nothing has to be filed anew.
 */
export class Reading {
  readonly key: string;
  readonly #stale: Set<string>;
  #remembered: readonly LookUp[] = NONE;
  /** How many of the remembered look-ups this run has made again so far, and those that are new. */
  #again = 0;
  #fresh: LookUp[] | null = null;
  picked: readonly Picked[] = NONE;

  /** `stale`: takes the key when it is to be derived again. */
  constructor(key: string, stale: Set<string>) {
    this.key = key;
    this.#stale = stale;
  }

  markStale(): void {
    this.#stale.add(this.key);
  }

  /** Before a run. */
  begin(): void {
    this.#again = 0;
    for (const { where } of this.picked) where.length = 0;
  }

  /** Notes a look-up. True: it is a new one, to be filed by the place. */
  note(place: Place, word: string): boolean {
    const next = this.#remembered[this.#again];
    if (next?.place === place && next.word === word) {
      this.#again += 1;
      return false;
    }
    this.#fresh ??= [];
    this.#fresh.push({ place, word });
    return true;
  }

  /** After a run: look-ups that it did not make again are forgotten. */
  end(labelReaders: LabelReaders): void {
    if (this.#fresh !== null || this.#again < this.#remembered.length) {
      const kept = [...this.#remembered.slice(0, this.#again), ...(this.#fresh ?? NONE)];
      for (const { place, word } of this.#remembered.slice(this.#again)) {
        if (!kept.some((one) => one.place === place && one.word === word)) place.forget(word, this);
      }
      this.#remembered = kept;
      this.#fresh = null;
    }
    if (this.picked.some(({ where }) => where.length === 0)) this.picked = labelReaders.prune(this.picked);
  }
}

/** Who looked up what by a word: a key, or a word of one way. */
export class WordReaders {
  readonly #readings = new Map<string, Set<Reading>>();

  add(word: string, reading: Reading): void {
    if (reading.note(this, word)) addTo(this.#readings, word, reading);
  }

  forget(word: string, reading: Reading): void {
    removeFrom(this.#readings, word, reading);
  }

  markStale(word: string): void {
    for (const reading of this.#readings.get(word) ?? []) reading.markStale();
  }
}

/** Who looked up labelled entries by a selector. */
export class SelectorReaders {
  /** Reading and selector in one: several readings may look up the same selector, and one may look up several. */
  readonly #queries = new SelectorIndex<{ reading: Reading }>();
  readonly #byReading = new Map<Reading, Map<string, { reading: Reading }>>();

  add(namespace: string, selector: Labels, reading: Reading): void {
    const word = `${namespace} ${JSON.stringify(selector)}`;
    if (!reading.note(this, word)) return;
    const queries = this.#byReading.get(reading) ?? new Map<string, { reading: Reading }>();
    this.#byReading.set(reading, queries);
    const query = queries.get(word) ?? { reading };
    queries.set(word, query);
    this.#queries.set(query, namespace, selector);
  }

  forget(word: string, reading: Reading): void {
    const queries = this.#byReading.get(reading);
    const query = queries?.get(word);
    if (query !== undefined) this.#queries.delete(query);
    if (queries?.delete(word) && queries.size === 0) this.#byReading.delete(reading);
  }

  /** An entry with these labels came, went or changed. */
  markStale(namespace: string, labels: Labels): void {
    for (const { reading } of this.#queries.picking(namespace, labels)) reading.markStale();
  }
}

/**
 * Who looked up selectors by labels, over all tables: a workload asks several tables with the same labels, which are filed
 * once.
 */
export class LabelReaders {
  readonly #picked = new LabelIndex<Picked>();

  add(where: object, namespace: string, labels: Labels, reading: Reading): void {
    for (const known of reading.picked) {
      if (known.namespace !== namespace || known.labels !== labels) continue;
      if (!known.where.includes(where)) known.where.push(where);
      return;
    }
    const picked = { reading, namespace, labels, where: [where] };
    reading.picked = [...reading.picked, picked];
    this.#picked.set(picked, namespace, labels);
  }

  /** An entry of `where` with this selector came, went or changed. */
  markStale(where: object, namespace: string, selector: Labels): void {
    for (const picked of this.#picked.matching(namespace, selector)) {
      if (picked.where.includes(where)) picked.reading.markStale();
    }
  }

  /** Those for which something was looked up in this run; the others are forgotten. */
  prune(all: readonly Picked[]): Picked[] {
    for (const picked of all) if (picked.where.length === 0) this.#picked.delete(picked);
    return all.filter(({ where }) => where.length > 0);
  }
}
