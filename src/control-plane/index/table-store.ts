import { isDeepStrictEqual } from 'node:util';
import { LabelIndex, SelectorIndex } from '#control-plane/index/label-index.ts';
import { MultiMap } from '#control-plane/index/multi-map.ts';
import { type LabelReaders, type Reading, SelectorReaders, WordReaders } from '#control-plane/index/readers.ts';
import type { AnyTable, Labelled } from '#control-plane/index/table.ts';
import { compareText, type Labels } from '#control-plane/resources/metadata.ts';

/** Who says something: a derivation of one subject, or the world outside. */
export type Speaker = { readonly key: string };

type Claim = { by: Speaker; value: unknown; rank: number };

/** One way to find entries by a word. */
type Way = {
  wordsOf: (value: unknown, key: string) => readonly string[];
  keys: MultiMap<string, string>;
  /** Who looked at which entries there are. */
  keyReaders: WordReaders;
  /** Who looked at their values too. */
  valueReaders: WordReaders;
};

/** Untyped: what a table's type promises was checked where the entry was made. */
type Finders = {
  by: Readonly<Record<string, Way['wordsOf']>>;
  labels: ((value: unknown) => Labelled) | undefined;
  selector: ((value: unknown) => Labelled | null) | undefined;
};

/**
 * The entries of one table, the ways to find them, and who looked. Several speakers may say something under one key: the
 * lowest rank counts, then the lowest key of a speaker, so that the outcome does not depend on who spoke first.
 */
export class TableStore {
  readonly #finders: Finders;
  readonly #ways: ReadonlyMap<string, Way>;
  readonly #onChange: (key: string, before: unknown) => void;
  /** Key → what counts. */
  readonly #claims = new Map<string, Claim>();
  /** All claims of the few keys under which several speak. */
  readonly #contested = new Map<string, readonly Claim[]>();
  readonly #labelled = new LabelIndex();
  readonly #selectors = new SelectorIndex();
  readonly #keyReaders = new WordReaders();
  readonly #selectorReaders = new SelectorReaders();
  readonly #labelReaders: LabelReaders;

  /** onChange: is told each key whose value is another one now, and the value before. */
  constructor({ lookups }: AnyTable, labelReaders: LabelReaders, onChange: (key: string, before: unknown) => void) {
    const { by = {}, labels, selector } = lookups as Partial<Finders>;
    this.#finders = { by, labels, selector };
    this.#ways = new Map(
      Object.entries(by).map(([way, wordsOf]) => {
        return [way, { wordsOf, keys: new MultiMap(), keyReaders: new WordReaders(), valueReaders: new WordReaders() }];
      }),
    );
    this.#labelReaders = labelReaders;
    this.#onChange = onChange;
  }

  /** Takes what a speaker says under a key; null: nothing any more. */
  say(by: Speaker, key: string, value: unknown, rank = 0): void {
    const before = this.#claims.get(key);
    const claim = value === null ? null : { by, value, rank };
    if (before !== undefined && (before.by !== by || this.#contested.has(key))) {
      this.#contest(key, by, claim, this.#contested.get(key) ?? [before]);
    } else if (claim !== null) this.#claims.set(key, claim);
    else if (!this.#claims.delete(key)) return;
    this.#replace(key, before?.value ?? null, this.value(key));
  }

  #contest(key: string, by: Speaker, claim: Claim | null, known: readonly Claim[]): void {
    const others = known.filter((one) => one.by !== by);
    const claims = claim === null ? others : [...others, claim];
    const [first, ...rest] = claims;
    if (first === undefined) this.#claims.delete(key);
    else this.#claims.set(key, rest.reduce(stronger, first));
    if (rest.length === 0) this.#contested.delete(key);
    else this.#contested.set(key, claims);
  }

  /** Every entry there is. */
  all(): ReadonlyMap<string, unknown> {
    return new Map([...this.#claims].map(([key, { value }]) => [key, value]));
  }

  /** The value under a key, unnoticed. */
  value(key: string): unknown {
    return this.#claims.get(key)?.value ?? null;
  }

  // The look-ups of MeshReader, each remembered for `reading`:

  get(key: string, reading: Reading): unknown {
    this.#keyReaders.add(key, reading);
    return this.value(key);
  }

  keysBy(way: string, word: string, reading: Reading): string[] {
    const { keys, keyReaders } = this.#way(way);
    keyReaders.add(word, reading);
    return [...keys.at(word)].sort(compareText);
  }

  valuesBy(way: string, word: string, reading: Reading): unknown[] {
    const { keys, valueReaders } = this.#way(way);
    valueReaders.add(word, reading);
    return this.#valuesOf([...keys.at(word)]);
  }

  pickedBy(namespace: string, selector: Labels, reading: Reading): unknown[] {
    this.#selectorReaders.add(namespace, selector, reading);
    return this.#valuesOf(this.#labelled.matching(namespace, selector));
  }

  picking(namespace: string, labels: Labels, reading: Reading): unknown[] {
    this.#labelReaders.add(this, namespace, labels, reading);
    return this.#valuesOf(this.#selectors.picking(namespace, labels));
  }

  #way(name: string): Way {
    const way = this.#ways.get(name);
    if (way === undefined) throw new Error(`a table has no way ${name} to find entries`);
    return way;
  }

  #valuesOf(keys: string[]): unknown[] {
    return (keys.length > 1 ? keys.sort(compareText) : keys).map((key) => this.value(key));
  }

  #replace(key: string, before: unknown, after: unknown): void {
    if (isDeepStrictEqual(before, after)) return;
    this.#keyReaders.markStale(key);
    for (const way of this.#ways.values()) refile(way, key, before, after);
    this.#refileLabels(key, before, after);
    this.#refileSelector(key, before, after);
    this.#onChange(key, before);
  }

  #refileLabels(key: string, before: unknown, after: unknown): void {
    const { labels } = this.#finders;
    if (labels === undefined) return;
    for (const value of [before, after]) {
      if (value === null) continue;
      const filed = labels(value);
      this.#selectorReaders.markStale(filed.namespace, filed.labels);
      if (value === after) this.#labelled.set(key, filed.namespace, filed.labels);
    }
    if (after === null) this.#labelled.delete(key);
  }

  #refileSelector(key: string, before: unknown, after: unknown): void {
    const { selector } = this.#finders;
    if (selector === undefined) return;
    for (const value of [before, after]) {
      const filed = value === null ? null : selector(value);
      if (filed !== null) this.#labelReaders.markStale(this, filed.namespace, filed.labels);
      if (value === after) this.#selectors.set(key, filed?.namespace ?? '', filed?.labels ?? null);
    }
  }
}

function stronger(a: Claim, b: Claim): Claim {
  return (a.rank - b.rank || compareText(a.by.key, b.by.key)) <= 0 ? a : b;
}

/** Files an entry under its new words, and tells those who looked under the old and the new ones. */
function refile({ wordsOf, keys, keyReaders, valueReaders }: Way, key: string, before: unknown, after: unknown): void {
  const left = new Set(before === null ? [] : wordsOf(before, key));
  const entered = new Set(after === null ? [] : wordsOf(after, key));
  for (const word of left) if (!entered.has(word)) keys.remove(word, key);
  for (const word of entered) if (!left.has(word)) keys.add(word, key);
  for (const word of left.symmetricDifference(entered)) keyReaders.markStale(word);
  for (const word of left.union(entered)) valueReaders.markStale(word);
}
