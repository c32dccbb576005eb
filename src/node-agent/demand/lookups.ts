import type { Cancel, Clock } from '#model/effects/clock.ts';
import { AGENT } from '#model/settings/agents.ts';
import { LOOKUP } from '#model/settings/lookup.ts';
import type { Answers } from '#protocol/xds/client-session.ts';
import type { NameChanges } from '#protocol/xds/subscription.ts';

/** What leads to the control plane. */
export type NameChannel = {
  change(names: NameChanges): void;
  isConnected(): boolean;
};

/** One name that is followed. */
type Lookup = {
  readonly name: string;
  /** What has it; empty: nothing has; null: that is not answered yet. */
  keys: readonly string[] | null;
  /** Whether it waits for an answer, the first or a later one. */
  isOpen: boolean;
  /** When it was asked for or answered last, and when somebody needed it last. */
  sinceMs: number;
  usedMs: number;
  /** Workloads on whose account it is open. */
  readonly askers: Set<string>;
  /** It is needed for as long as it is, by whomever. */
  isPinned: boolean;
};

/** What lookups need of the outside. */
export type LookupsOptions = {
  readonly clock: Clock;
  /**
   * Names that are followed no more, and keys of what none of those that are has. Returns what is to be forgotten with them, by
   * the names of the control plane.
   */
  dropped(names: readonly string[], keys: readonly string[]): readonly string[];
};

/** How it stands with some names: all are answered, some are not, or there are too many of those to ask for these. */
export type Standing = 'answered' | 'open' | 'full';

/**
 * The names that an agent asks its control plane for, and how it was answered. Bounded in what waits, for each workload and in all, and
 * in what is kept. What nobody has is asked for again and again while it is needed; what is not answered in time is
 * forgotten, so that the next one who needs it asks anew.
 */
export class Lookups {
  readonly #options: LookupsOptions;
  /** Those that were needed last are last. */
  readonly #lookups = new Map<string, Lookup>();
  /** What has names → these. */
  readonly #namesOf = new Map<string, Set<string>>();
  /** Workload → how many lookups are open on its account. */
  readonly #openOf = new Map<string, number>();
  #open = 0;
  #channel: NameChannel | null = null;
  readonly #stop: Cancel;

  constructor(options: LookupsOptions) {
    this.#options = options;
    this.#stop = options.clock.every(LOOKUP.lookMs, () => this.#look());
  }

  /** Whom it asks from now on; what was needed before is asked for now. */
  connect(channel: NameChannel): void {
    this.#channel = channel;
    this.#change([...this.#lookups.keys()], []);
  }

  stop(): void {
    this.#stop();
  }

  /** How many names something has, nothing has, and are not answered yet. */
  get counts(): { known: number; unknown: number; open: number } {
    const counts = { known: 0, unknown: 0, open: 0 };
    for (const { keys } of this.#lookups.values()) counts[keys === null ? 'open' : keys.length > 0 ? 'known' : 'unknown']++;
    return counts;
  }

  /** A workload needs these: asks for those that are not followed. */
  need(asker: string, names: Iterable<string>): Standing {
    const missing: string[] = [];
    let standing: Standing = 'answered';
    for (const name of names) {
      const lookup = this.#lookups.get(name);
      if (lookup === undefined) missing.push(name);
      else if (this.#use(lookup, asker).keys === null) standing = 'open';
    }
    if (missing.length === 0) return standing;
    const isFull = this.#open + missing.length > LOOKUP.openMax || this.#lookups.size >= LOOKUP.namesMax + LOOKUP.openMax;
    if (isFull || (this.#openOf.get(asker) ?? 0) + missing.length > LOOKUP.openPerWorkloadMax) return 'full';
    for (const name of missing) this.#begin(name).askers.add(asker);
    this.#openOf.set(asker, (this.#openOf.get(asker) ?? 0) + missing.length);
    this.#change(missing, []);
    return 'open';
  }

  /** How a name was answered: what has it; empty: nothing has; null: it is not. */
  answerOf(name: string): readonly string[] | null {
    return this.#lookups.get(name)?.keys ?? null;
  }

  /** Whether there is somebody to ask. */
  get isConnected(): boolean {
    return this.#channel?.isConnected() === true;
  }

  /** Whether some name leads to it. */
  isFollowed(key: string): boolean {
    return this.#namesOf.has(key);
  }

  /** These are needed until they are let go. */
  pin(names: readonly string[]): void {
    const fresh = names.filter((name) => !this.#lookups.has(name));
    for (const name of names) (this.#lookups.get(name) ?? this.#begin(name)).isPinned = true;
    this.#change(fresh, []);
  }

  /** What has them is not forgotten with that: the control plane tells of the workloads of the node unasked. */
  unpin(names: readonly string[]): void {
    this.#change([], this.#forget(names.flatMap((name) => this.#lookups.get(name) ?? [])).names);
  }

  /** What the control plane answered, and which keys stand for nothing any more. Returns the names of which something else is known now. */
  take(answers: Answers, gone: Iterable<string>): Set<string> {
    const changed = new Set<string>();
    for (const [name, keys] of answers) {
      const lookup = this.#lookups.get(name);
      if (lookup === undefined) continue; // it was left meanwhile
      this.#close(lookup);
      if (lookup.keys?.join() !== keys.join()) changed.add(name);
      this.#bind(lookup, keys);
    }
    const orphans: Lookup[] = [];
    for (const key of gone)
      for (const name of [...(this.#namesOf.get(key) ?? [])]) {
        const lookup = this.#lookups.get(name);
        if (lookup === undefined) continue;
        this.#bind(
          lookup,
          (lookup.keys ?? []).filter((one) => one !== key),
        );
        changed.add(name);
        // Who has the name now is not said: whoever needs it next asks.
        if (lookup.keys?.length === 0) orphans.push(lookup);
      }
    this.#change([], this.#forget(orphans.filter(({ isPinned }) => !isPinned)).names);
    this.#askAgain(orphans.filter(({ isPinned }) => isPinned));
    return changed;
  }

  #begin(name: string): Lookup {
    const nowMs = this.#nowMs();
    const lookup = { name, keys: null, isOpen: true, sinceMs: nowMs, usedMs: nowMs, askers: new Set<string>(), isPinned: false };
    this.#lookups.set(name, lookup);
    this.#open++;
    return lookup;
  }

  #use(lookup: Lookup, asker: string): Lookup {
    lookup.usedMs = this.#nowMs();
    this.#lookups.delete(lookup.name);
    this.#lookups.set(lookup.name, lookup);
    if (lookup.keys === null && !lookup.askers.has(asker)) {
      lookup.askers.add(asker);
      this.#openOf.set(asker, (this.#openOf.get(asker) ?? 0) + 1);
    }
    return lookup;
  }

  /** It waits for nothing any more. */
  #close(lookup: Lookup): void {
    if (!lookup.isOpen) return;
    lookup.isOpen = false;
    lookup.sinceMs = this.#nowMs();
    this.#open--;
    for (const asker of lookup.askers) {
      const left = (this.#openOf.get(asker) ?? 1) - 1;
      if (left === 0) this.#openOf.delete(asker);
      else this.#openOf.set(asker, left);
    }
    lookup.askers.clear();
  }

  #bind(lookup: Lookup, keys: readonly string[]): void {
    for (const key of lookup.keys ?? []) {
      const names = this.#namesOf.get(key);
      names?.delete(lookup.name);
      if (names?.size === 0) this.#namesOf.delete(key);
    }
    lookup.keys = keys;
    for (const key of keys) this.#namesOf.set(key, (this.#namesOf.get(key) ?? new Set()).add(lookup.name));
  }

  #look(): void {
    const nowMs = this.#nowMs();
    const { isConnected } = this;
    const late: Lookup[] = [];
    const again: Lookup[] = [];
    for (const lookup of this.#lookups.values()) {
      const forMs = nowMs - lookup.sinceMs;
      if (lookup.isOpen) {
        if (forMs < AGENT.knowledgeDeadlineMs) continue;
        if (lookup.isPinned) again.push(lookup);
        // What was known before the control plane went away goes on.
        else if (lookup.keys === null || isConnected) late.push(lookup);
        else this.#close(lookup);
      } else if (isConnected && lookup.keys?.length === 0 && forMs >= againMs(lookup)) {
        if (lookup.isPinned || nowMs - lookup.usedMs < LOOKUP.unknownKeptMs) again.push(lookup);
        else late.push(lookup);
      }
    }
    this.#askAgain(again);
    const { names, keys } = this.#forget([...late, ...this.#surplus(late.length)]);
    if (names.length > 0) this.#change([], [...names, ...this.#options.dropped(names, keys)]);
  }

  /** An istiod answers a name only when it becomes one of those that are asked for. */
  #askAgain(lookups: readonly Lookup[]): void {
    if (lookups.length === 0) return;
    const names = lookups.map(({ name }) => name);
    for (const lookup of lookups) {
      if (!lookup.isOpen) this.#open++;
      lookup.isOpen = true;
      lookup.sinceMs = this.#nowMs();
    }
    this.#change([], names);
    this.#change(names, []);
  }

  /** What is too much: of what nobody has, then of the rest, what was needed the longest time ago. */
  #surplus(lateCount: number): Lookup[] {
    const count = this.#lookups.size - lateCount - LOOKUP.namesMax;
    if (count <= 0) return [];
    const all = [...this.#lookups.values()].filter(({ isPinned, isOpen }) => !isPinned && !isOpen);
    const isUnknown = ({ keys }: Lookup): boolean => keys?.length === 0;
    return [...all.filter(isUnknown), ...all.filter((one) => !isUnknown(one))].slice(0, count);
  }

  #forget(lookups: readonly Lookup[]): { names: string[]; keys: string[] } {
    const keys = new Set<string>();
    for (const lookup of lookups) {
      for (const key of lookup.keys ?? []) keys.add(key);
      this.#close(lookup);
      this.#bind(lookup, []);
      this.#lookups.delete(lookup.name);
    }
    return { names: lookups.map(({ name }) => name), keys: [...keys].filter((key) => !this.#namesOf.has(key)) };
  }

  #change(subscribe: readonly string[], unsubscribe: readonly string[]): void {
    if (subscribe.length + unsubscribe.length > 0) this.#channel?.change({ subscribe, unsubscribe });
  }

  #nowMs(): number {
    return this.#options.clock.monotonicMs();
  }
}

function againMs({ isPinned }: Lookup): number {
  return isPinned ? LOOKUP.ownAgainMs : LOOKUP.unknownAgainMs;
}
