import { MultiMap } from '#control-plane/index/multi-map.ts';
import { labelsMatch } from '#control-plane/resources/label-selector.ts';
import type { Labels } from '#control-plane/resources/metadata.ts';

const NO_LABELS: Labels = {};

type Member = { namespace: string; labels: Labels };

/** Finds the labelled things of a namespace that a selector picks, without looking at the others. */
export class LabelIndex<Key = string> {
  readonly #members = new Map<Key, Member>();
  readonly #namespaces = new Map<string, { all: Set<Key>; byPair: MultiMap<string, Key> }>();

  set(key: Key, namespace: string, labels: Labels): void {
    this.delete(key);
    this.#members.set(key, memberOf(namespace, labels));
    const space = this.#namespaces.get(namespace) ?? { all: new Set(), byPair: new MultiMap() };
    this.#namespaces.set(namespace, space);
    space.all.add(key);
    for (const pair of pairsOf(labels)) space.byPair.add(pair, key);
  }

  delete(key: Key): void {
    const member = this.#members.get(key);
    if (member === undefined) return;
    this.#members.delete(key);
    const space = this.#namespaces.get(member.namespace);
    if (space === undefined) return;
    space.all.delete(key);
    for (const pair of pairsOf(member.labels)) space.byPair.remove(pair, key);
    if (space.all.size === 0) this.#namespaces.delete(member.namespace);
  }

  /** Everything in the namespace. */
  inNamespace(namespace: string): Iterable<Key> {
    return this.#namespaces.get(namespace)?.all ?? [];
  }

  /** What `selector` picks in the namespace; a null selector picks nothing. */
  matching(namespace: string, selector: Labels | null): Key[] {
    const [rarest, ...others] = pairsOf(selector ?? NO_LABELS).toSorted(
      (a, b) => this.#count(namespace, a) - this.#count(namespace, b),
    );
    if (selector === null || rarest === undefined) return [];
    const candidates = [...(this.#namespaces.get(namespace)?.byPair.at(rarest) ?? [])];
    if (others.length === 0) return candidates;
    return candidates.filter((key) => labelsMatch(selector, this.#members.get(key)?.labels ?? {}));
  }

  /** What `selector` picks in any namespace. */
  matchingAnywhere(selector: Labels | null): Key[] {
    return [...this.#namespaces.keys()].flatMap((namespace) => this.matching(namespace, selector));
  }

  #count(namespace: string, pair: string): number {
    return this.#namespaces.get(namespace)?.byPair.countAt(pair) ?? 0;
  }
}

/** Finds the selectors of a namespace that pick a set of labels, without trying every selector. */
export class SelectorIndex<Key = string> {
  readonly #selectors = new Map<Key, { namespace: string; pair: string; selector: Labels }>();
  /** Namespace → one pair of each selector → selectors with it. */
  readonly #namespaces = new Map<string, MultiMap<string, Key>>();

  /** A null selector picks nothing. */
  set(key: Key, namespace: string, selector: Labels | null): void {
    this.delete(key);
    const [pair] = selector === null ? [] : pairsOf(selector);
    if (selector === null || pair === undefined) return;
    const slots = this.#namespaces.get(namespace) ?? new MultiMap<string, Key>();
    this.#namespaces.set(namespace, slots);
    this.#selectors.set(key, { namespace, pair, selector });
    slots.add(pair, key);
  }

  delete(key: Key): void {
    const entry = this.#selectors.get(key);
    if (entry === undefined) return;
    this.#selectors.delete(key);
    const slots = this.#namespaces.get(entry.namespace);
    slots?.remove(entry.pair, key);
    if (slots?.size === 0) this.#namespaces.delete(entry.namespace);
  }

  /** Keys of the namespace's selectors that pick `labels`, in no order. */
  picking(namespace: string, labels: Labels): Key[] {
    const slots = this.#namespaces.get(namespace);
    const found: Key[] = [];
    if (slots === undefined) return found;
    for (const pair of pairsOf(labels)) {
      for (const key of slots.at(pair)) {
        if (labelsMatch(this.#selectors.get(key)?.selector ?? {}, labels)) found.push(key);
      }
    }
    return found;
  }
}

/** What is known of labels, which are read often and never changed: their pairs, and the members that have them. */
type Known = { pairs: readonly string[]; first: Member | null; others: Map<string, Member> | null };

const KNOWN = new WeakMap<Labels, Known>();

function knownOf(labels: Labels): Known {
  const before = KNOWN.get(labels);
  if (before !== undefined) return before;
  const pairs = Object.entries(labels).map(([key, value]) => `${key}=${value}`);
  const known = { pairs, first: null, others: null };
  KNOWN.set(labels, known);
  return known;
}

function pairsOf(labels: Labels): readonly string[] {
  return knownOf(labels).pairs;
}

/** One for all that have the same labels in the same namespace. */
function memberOf(namespace: string, labels: Labels): Member {
  const known = knownOf(labels);
  known.first ??= { namespace, labels };
  if (known.first.namespace === namespace) return known.first;
  known.others ??= new Map();
  const member = known.others.get(namespace) ?? { namespace, labels };
  known.others.set(namespace, member);
  return member;
}
