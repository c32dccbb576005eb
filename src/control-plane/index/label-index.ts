import { labelsMatch } from '#control-plane/resources/label-selector.ts';
import type { Labels } from '#control-plane/resources/metadata.ts';

type Member = { namespace: string; labels: Labels };

/** Finds the labelled things of a namespace that a selector picks, without looking at the others. */
export class LabelIndex {
  readonly #members = new Map<string, Member>();
  readonly #namespaces = new Map<string, { all: Set<string>; byPair: Map<string, Set<string>> }>();

  set(key: string, namespace: string, labels: Labels): void {
    this.delete(key);
    this.#members.set(key, { namespace, labels });
    const space = this.#namespaces.get(namespace) ?? { all: new Set(), byPair: new Map() };
    this.#namespaces.set(namespace, space);
    space.all.add(key);
    for (const pair of pairsOf(labels)) addTo(space.byPair, pair, key);
  }

  delete(key: string): void {
    const member = this.#members.get(key);
    if (member === undefined) return;
    this.#members.delete(key);
    const space = this.#namespaces.get(member.namespace);
    if (space === undefined) return;
    space.all.delete(key);
    for (const pair of pairsOf(member.labels)) removeFrom(space.byPair, pair, key);
    if (space.all.size === 0) this.#namespaces.delete(member.namespace);
  }

  /** Everything in the namespace. */
  inNamespace(namespace: string): Iterable<string> {
    return this.#namespaces.get(namespace)?.all ?? [];
  }

  /** What `selector` picks in the namespace; a null selector picks nothing. */
  matching(namespace: string, selector: Labels | null): string[] {
    const [rarest, ...others] = pairsOf(selector ?? {}).sort((a, b) => this.#count(namespace, a) - this.#count(namespace, b));
    if (selector === null || rarest === undefined) return [];
    const candidates = [...(this.#namespaces.get(namespace)?.byPair.get(rarest) ?? [])];
    if (others.length === 0) return candidates;
    return candidates.filter((key) => labelsMatch(selector, this.#members.get(key)?.labels ?? {}));
  }

  /** What `selector` picks in any namespace. */
  matchingAnywhere(selector: Labels | null): string[] {
    return [...this.#namespaces.keys()].flatMap((namespace) => this.matching(namespace, selector));
  }

  #count(namespace: string, pair: string): number {
    return this.#namespaces.get(namespace)?.byPair.get(pair)?.size ?? 0;
  }
}

/** Finds the selectors of a namespace that pick a set of labels, without trying every selector. */
export class SelectorIndex {
  readonly #selectors = new Map<string, { slot: string; selector: Labels }>();
  readonly #slots = new Map<string, Set<string>>();

  /** A null selector picks nothing. */
  set(key: string, namespace: string, selector: Labels | null): void {
    this.delete(key);
    const [pair] = selector === null ? [] : pairsOf(selector);
    if (selector === null || pair === undefined) return;
    const slot = slotOf(namespace, pair);
    this.#selectors.set(key, { slot, selector });
    addTo(this.#slots, slot, key);
  }

  delete(key: string): void {
    const entry = this.#selectors.get(key);
    if (entry === undefined) return;
    this.#selectors.delete(key);
    removeFrom(this.#slots, entry.slot, key);
  }

  /** Keys of the namespace's selectors that pick `labels`, in order. */
  picking(namespace: string, labels: Labels): string[] {
    const found: string[] = [];
    for (const pair of pairsOf(labels)) {
      for (const key of this.#slots.get(slotOf(namespace, pair)) ?? []) {
        if (labelsMatch(this.#selectors.get(key)?.selector ?? {}, labels)) found.push(key);
      }
    }
    return found.sort();
  }
}

function pairsOf(labels: Labels): string[] {
  return Object.entries(labels).map(([key, value]) => `${key}=${value}`);
}

function slotOf(namespace: string, pair: string): string {
  return `${namespace}/${pair}`;
}

/** Adds to a set that is made on first use. */
export function addTo(sets: Map<string, Set<string>>, slot: string, key: string): void {
  const set = sets.get(slot);
  if (set === undefined) sets.set(slot, new Set([key]));
  else set.add(key);
}

/** Removes from a set that goes away with its last member. */
export function removeFrom(sets: Map<string, Set<string>>, slot: string, key: string): void {
  const set = sets.get(slot);
  if (set?.delete(key) && set.size === 0) sets.delete(slot);
}
