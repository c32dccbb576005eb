import { LabelIndex, SelectorIndex } from '#control-plane/index/label-index.ts';
import { MultiMap } from '#control-plane/index/multi-map.ts';
import type { Labels } from '#control-plane/resources/metadata.ts';

/** A place where it is remembered that something was looked up by a word. */
type Place = { forget(word: string, reading: Reading): void };

/** What was looked up, in order: place and word in turn. A list of pairs would be most of what an index takes. */
type LookUps = (Place | string)[];

/** Fixed by JavaScript: bits of an integer that are all alike. */
const BITS_MAX = 31;
/** Shared by all that remember nothing, which most do. */
const NONE: readonly never[] = [];

/** Labels for which selectors were looked up, and the tables in which they were, by the bit of each. */
type Picked = { reading: Reading; namespace: string; labels: Labels; where: number };

/**
 * What one derivation of one subject has looked up, and how it is told that an answer has changed. Most runs look up what
 * the run before did, in the same order: then nothing has to be filed anew.
 */
export class Reading {
  readonly key: string;
  readonly #stale: Set<string>;
  #remembered: readonly (Place | string)[] = NONE;
  /** Up to where of the remembered look-ups this run has made them again so far, and those that are new. */
  #again = 0;
  #fresh: LookUps | null = null;
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
    for (const one of this.picked) one.where = 0;
  }

  /** Notes a look-up. True: it is a new one, to be filed by the place. */
  note(place: Place, word: string): boolean {
    const at = this.#again;
    if (this.#remembered[at] === place && this.#remembered[at + 1] === word) {
      this.#again += 2;
      return false;
    }
    this.#fresh ??= [];
    this.#fresh.push(place, word);
    return true;
  }

  /** After a run: look-ups that it did not make again are forgotten. */
  end(labelReaders: LabelReaders): void {
    if (this.#fresh !== null || this.#again < this.#remembered.length) {
      const kept = [...this.#remembered.slice(0, this.#again), ...(this.#fresh ?? NONE)];
      for (const { place, word } of pairsIn(this.#remembered, this.#again)) {
        if (!isIn(kept, place, word)) place.forget(word, this);
      }
      this.#remembered = kept.slice(); // of its own length: such a list grows by more than it needs
      this.#fresh = null;
    }
    if (this.picked.some(({ where }) => where === 0)) this.picked = labelReaders.prune(this.picked);
  }
}

function* pairsIn(lookUps: readonly (Place | string)[], from: number): Generator<{ place: Place; word: string }> {
  for (let at = from; at < lookUps.length; at += 2) {
    const [place, word] = [lookUps[at], lookUps[at + 1]];
    if (typeof place === 'object' && typeof word === 'string') yield { place, word };
  }
}

function isIn(lookUps: readonly (Place | string)[], place: Place, word: string): boolean {
  for (let at = 0; at < lookUps.length; at += 2) if (lookUps[at] === place && lookUps[at + 1] === word) return true;
  return false;
}

/** Who looked up what by a word: a key, or a word of one way. */
export class WordReaders {
  readonly #readings = new MultiMap<string, Reading>();

  add(word: string, reading: Reading): void {
    if (reading.note(this, word)) this.#readings.add(word, reading);
  }

  forget(word: string, reading: Reading): void {
    this.#readings.remove(word, reading);
  }

  markStale(word: string): void {
    for (const reading of this.#readings.at(word)) reading.markStale();
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
  readonly #bits = new Map<object, number>();

  add(where: object, namespace: string, labels: Labels, reading: Reading): void {
    const bit = this.#bitOf(where);
    for (const known of reading.picked) {
      if (known.namespace !== namespace || known.labels !== labels) continue;
      known.where |= bit;
      return;
    }
    const picked = { reading, namespace, labels, where: bit };
    reading.picked = reading.picked.concat(picked);
    this.#picked.set(picked, namespace, labels);
  }

  #bitOf(where: object): number {
    const known = this.#bits.get(where);
    if (known !== undefined) return known;
    if (this.#bits.size >= BITS_MAX) throw new Error('more tables are looked through by labels than bits tell apart');
    const bit = 1 << this.#bits.size;
    this.#bits.set(where, bit);
    return bit;
  }

  /** An entry of `where` with this selector came, went or changed. */
  markStale(where: object, namespace: string, selector: Labels): void {
    const bit = this.#bits.get(where) ?? 0;
    for (const picked of this.#picked.matching(namespace, selector)) {
      if ((picked.where & bit) !== 0) picked.reading.markStale();
    }
  }

  /** Those for which something was looked up in this run; the others are forgotten. */
  prune(all: readonly Picked[]): Picked[] {
    for (const picked of all) if (picked.where === 0) this.#picked.delete(picked);
    return all.filter(({ where }) => where !== 0);
  }
}
