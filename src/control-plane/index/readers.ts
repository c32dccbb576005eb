import { LabelIndex, SelectorIndex } from '#control-plane/index/label-index.ts';
import { MultiMap } from '#control-plane/index/multi-map.ts';
import type { Labels } from '#control-plane/resources/metadata.ts';

/** A place where it is remembered that something was looked up by a word. */
type Place = { forget(word: string, reading: Reading): void };

/** What was looked up, in order: place and word in turn. A list of pairs would be most of what an index takes. */
type LookUps = readonly (Place | string)[];

/** Fixed by JavaScript: bits of an integer that are all alike. */
const BITS_MAX = 31;
/** Shared by all that remember nothing, which most do. */
const NONE: readonly never[] = [];

/** What one run looks up: up to where of the remembered look-ups it has made them again so far, and those that are new. */
type Run = { again: number; fresh: (Place | string)[] | null; picking: Picking[] | null };

/** Labels for which selectors were looked up, and the tables in which they were, by the bit of each. */
type Picking = { namespace: string; labels: Labels; where: number };

/** All readings that looked up selectors by the same labels in the same tables: there are few for each set of labels. */
class LabelGroup {
  readonly namespace: string;
  readonly labels: Labels;
  readonly where: number;
  /** Lists that begin with this one: readings with the same groups have one list. */
  readonly lists: (readonly LabelGroup[])[] = [];
  /** The look-ups at the end of a list that two of its readings had in common. */
  tail: LookUps = NONE;

  constructor({ namespace, labels, where }: Picking) {
    this.namespace = namespace;
    this.labels = labels;
    this.where = where;
  }
}

/**
 * What one derivation of one subject has looked up, and how it is told that an answer has changed. Most runs look up what
 * the run before did, in the same order: then nothing has to be filed anew.
 */
export class Reading {
  readonly key: string;
  readonly #stale: Set<string>;
  /** What it looked up, but for what comes last, which is one list for those that have it in common. */
  #own: LookUps = NONE;
  #tail: LookUps = NONE;
  #groups: readonly LabelGroup[] = NONE;
  #run: Run | null = null;

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
    this.#run = { again: 0, fresh: null, picking: null };
  }

  /** Notes a look-up. True: it is a new one, to be filed by the place. */
  note(place: Place, word: string): boolean {
    const run = this.#current();
    const [list, at] = run.again < this.#own.length ? [this.#own, run.again] : [this.#tail, run.again - this.#own.length];
    if (list[at] === place && list[at + 1] === word) {
      run.again += 2;
      return false;
    }
    run.fresh ??= [];
    run.fresh.push(place, word);
    return true;
  }

  /** Notes that selectors were looked up by labels in the table of a bit. */
  notePicking(namespace: string, labels: Labels, bit: number): void {
    const run = this.#current();
    const known = run.picking?.find((one) => one.labels === labels && one.namespace === namespace);
    if (known !== undefined) known.where |= bit;
    else {
      run.picking ??= [];
      run.picking.push({ namespace, labels, where: bit });
    }
  }

  /** After a run: look-ups that it did not make again are forgotten. */
  end(labelReaders: LabelReaders): void {
    const { again, fresh, picking } = this.#current();
    this.#run = null;
    this.#groups = labelReaders.regroup(this, this.#groups, picking ?? NONE);
    if (fresh === null && again === this.#own.length + this.#tail.length) return;
    const before = [...this.#own, ...this.#tail];
    const now = [...before.slice(0, again), ...(fresh ?? NONE)];
    for (const { place, word } of pairsIn(before, again)) if (!isIn(now, place, word)) place.forget(word, this);
    this.#tail = sharedTail(now, this.#groups);
    // Of its own length: a list that is added to grows by more than it needs.
    this.#own = now.length === this.#tail.length ? NONE : now.slice(0, now.length - this.#tail.length);
  }

  #current(): Run {
    if (this.#run === null) throw new Error('something is looked up outside of a run');
    return this.#run;
  }
}

/** What a list has at its end in common with those of readings that look up by the same labels. */
function sharedTail(lookUps: LookUps, [group]: readonly LabelGroup[]): LookUps {
  if (group === undefined) return NONE;
  const { tail } = group;
  let count = 0;
  while (count < tail.length && count < lookUps.length && tail[tail.length - 1 - count] === lookUps[lookUps.length - 1 - count])
    count += 1;
  count -= count % 2;
  if (count > 0 && count === tail.length) return tail;
  // The first one, and where there is little in common, is what the next one is compared with.
  group.tail = count > 0 ? tail.slice(tail.length - count) : lookUps.slice();
  return count > 0 ? group.tail : NONE;
}

function* pairsIn(lookUps: LookUps, from: number): Generator<{ place: Place; word: string }> {
  for (let at = from; at < lookUps.length; at += 2) {
    const [place, word] = [lookUps[at], lookUps[at + 1]];
    if (typeof place === 'object' && typeof word === 'string') yield { place, word };
  }
}

function isIn(lookUps: LookUps, place: Place, word: string): boolean {
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
 * Who looked up selectors by labels, over all tables: a workload asks several tables with the same labels, and most workloads have
 * the labels of others. So it is groups of readings that are filed.
 */
export class LabelReaders {
  readonly #index = new LabelIndex<LabelGroup>();
  readonly #groups = new MultiMap<Labels, LabelGroup>();
  readonly #readings = new MultiMap<LabelGroup, Reading>();
  readonly #bits = new Map<object, number>();

  add(where: object, namespace: string, labels: Labels, reading: Reading): void {
    reading.notePicking(namespace, labels, this.#bitOf(where));
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
    for (const group of this.#index.matching(namespace, selector)) {
      if ((group.where & bit) !== 0) for (const reading of this.#readings.at(group)) reading.markStale();
    }
  }

  /** Files a reading by what its last run looked up, in place of what the one before did. */
  regroup(reading: Reading, before: readonly LabelGroup[], pickings: readonly Picking[]): readonly LabelGroup[] {
    const isAsBefore = before.length === pickings.length && pickings.every((one, at) => isSame(before[at], one));
    if (isAsBefore) return before;
    const now = pickings.map((one) => this.#groupOf(one));
    for (const group of now) this.#readings.add(group, reading);
    for (const group of before) if (!now.includes(group)) this.#leave(group, reading);
    return sharedList(now);
  }

  #groupOf(picking: Picking): LabelGroup {
    const { namespace, labels } = picking;
    for (const group of this.#groups.at(labels)) if (isSame(group, picking)) return group;
    const group = new LabelGroup(picking);
    this.#groups.add(labels, group);
    this.#index.set(group, namespace, labels);
    return group;
  }

  #leave(group: LabelGroup, reading: Reading): void {
    if (!this.#readings.remove(group, reading)) return;
    this.#index.delete(group);
    this.#groups.remove(group.labels, group);
  }
}

function sharedList(groups: readonly LabelGroup[]): readonly LabelGroup[] {
  const [first] = groups;
  if (first === undefined) return NONE;
  const known = first.lists.find((list) => list.length === groups.length && list.every((group, at) => group === groups[at]));
  if (known !== undefined) return known;
  first.lists.push(groups);
  return groups;
}

function isSame(group: LabelGroup | undefined, { namespace, labels, where }: Picking): boolean {
  return group !== undefined && group.namespace === namespace && group.labels === labels && group.where === where;
}
