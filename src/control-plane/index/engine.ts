import { isDeepStrictEqual } from 'node:util';
import { type Derivation, inOrder } from '#control-plane/index/derivation.ts';
import type { MeshOptions } from '#control-plane/index/mesh-options.ts';
import { LabelReaders, Reading } from '#control-plane/index/readers.ts';
import type { AnyTable, Entry, ValueOf } from '#control-plane/index/table.ts';
import { type Speaker, TableStore } from '#control-plane/index/table-store.ts';
import { type ReaderFrame, TrackedReader } from '#control-plane/index/tracked-reader.ts';
import type { VipAllocator } from '#control-plane/index/vip-allocator.ts';
import { atOnce, sorted, type Work } from '#model/effects/work.ts';

/** Is told each derivation that runs, and the key it runs for. */
export type ObserveDerivation = (derivation: string, key: string) => void;

/** What an engine is made of. */
export type EngineOptions = {
  derivations: readonly Derivation[];
  /** Tables whose changes somebody asks for. */
  outputs: readonly AnyTable[];
  options: MeshOptions;
  allocator: VipAllocator;
  observe?: ObserveDerivation;
};

/** A derivation of one subject: what it said the last time, and what it looked up for that. */
class Unit extends Reading implements Speaker {
  /** The table alone: it said one thing, under its own key. Else table and key in turn: a list of pairs would take three times as much. */
  said: AnyTable | readonly (AnyTable | string)[] = NOTHING;
  holdsAddresses = false;
}

/** The value before the first change, and whether that was the only one. */
type Changed = { before: unknown; once: boolean };

/** A derivation with all of its subjects. */
type Step = { derivation: Derivation; frame: ReaderFrame; units: Map<string, Unit>; stale: Set<string> };

/**
 * Keeps tables that derive from one another up to date: a change runs exactly the derivations that looked up what changed,
 * each once, in an order in which everything it reads is already new. It knows neither kinds of resources nor what they mean.
 */
export class Engine {
  readonly #options: EngineOptions;
  readonly #stores = new Map<AnyTable, TableStore>();
  /** Table → what runs once for each of its entries. */
  readonly #followers = new Map<AnyTable, Step[]>();
  readonly #steps: readonly Step[];
  readonly #labelReaders = new LabelReaders();
  /** Output → key → what has changed since the changes were last taken. */
  readonly #changed: ReadonlyMap<AnyTable, Map<string, Changed>>;

  /** Errors: Error when derivations read one another in a circle. */
  constructor(options: EngineOptions) {
    this.#options = options;
    this.#changed = new Map(options.outputs.map((table) => [table, new Map()]));
    this.#steps = inOrder(options.derivations).map((derivation) => this.#stepOf(derivation));
  }

  /** Takes an entry from outside; null: it is gone. `run` draws the conclusions. */
  put<T extends AnyTable>(table: T, key: string, value: ValueOf<T> | null): void {
    this.#store(table).say(OUTSIDE, key, value);
  }

  /** Runs every derivation that is stale, in order of key, so that the outcome does not depend on the order of changes. */
  run(): void {
    atOnce(this.running());
  }

  /** The same piece by piece; until it is at its end, tables are of no use to anybody. */
  *running(): Work<void> {
    for (const step of this.#steps) {
      const keys = yield* sorted(step.stale);
      step.stale.clear();
      for (const key of keys) {
        this.#derive(step, key);
        yield;
      }
    }
  }

  /** All entries of a table, as they are now. */
  all<T extends AnyTable>(table: T): ReadonlyMap<string, ValueOf<T>> {
    return this.#store(table).all() as ReadonlyMap<string, ValueOf<T>>;
  }

  /** Entries of an output that differ from the last time this was asked; null: gone. */
  takeChanges<T extends AnyTable>(table: T): Map<string, ValueOf<T> | null> {
    return atOnce(this.takingChanges(table));
  }

  /** The same piece by piece. */
  *takingChanges<T extends AnyTable>(table: T): Work<Map<string, ValueOf<T> | null>> {
    const changed = this.#changed.get(table) ?? new Map<string, Changed>();
    const store = this.#store(table);
    const changes = new Map<string, ValueOf<T> | null>();
    for (const [key, { before, once }] of changed) {
      const now = store.value(key);
      // What changed once is different; what changed again may be what it was.
      if (once || !isDeepStrictEqual(before, now)) changes.set(key, now as ValueOf<T> | null);
      yield;
    }
    changed.clear();
    return changes;
  }

  /** Keys that hold allocated addresses. */
  holders(): Set<string> {
    const keys = new Set<string>();
    for (const { units } of this.#steps) for (const { key, holdsAddresses } of units.values()) if (holdsAddresses) keys.add(key);
    return keys;
  }

  /** Has those of `keys` that hold allocated addresses derived anew. `run` draws the conclusions. */
  rederive(keys: ReadonlySet<string>): void {
    for (const { units, stale } of this.#steps)
      for (const key of keys) if (units.get(key)?.holdsAddresses === true) stale.add(key);
  }

  #store(table: AnyTable): TableStore {
    const known = this.#stores.get(table);
    if (known !== undefined) return known;
    const changed = this.#changed.get(table);
    const followers: Step[] = [];
    const store = new TableStore(table, this.#labelReaders, (key, before) => {
      const known = changed?.get(key);
      if (known === undefined) changed?.set(key, { before, once: true });
      else known.once = false;
      for (const { stale } of followers) stale.add(key);
    });
    this.#stores.set(table, store);
    this.#followers.set(table, followers);
    return store;
  }

  #stepOf(derivation: Derivation): Step {
    const { options, allocator } = this.#options;
    const stores = new Map(derivation.reads.map((table) => [table, this.#store(table)]));
    const frame = { name: derivation.name, options, stores, allocator };
    const step: Step = { derivation, frame, units: new Map(), stale: new Set() };
    this.#store(derivation.each);
    this.#followers.get(derivation.each)?.push(step);
    return step;
  }

  #derive(step: Step, key: string): void {
    const { derivation, frame, units, stale } = step;
    const value = this.#store(derivation.each).value(key);
    let unit = units.get(key);
    if (value === null && unit === undefined) return;
    if (unit === undefined) {
      unit = new Unit(key, stale);
      units.set(key, unit);
    }
    unit.begin();
    let said: readonly Entry[] = [];
    let holdsAddresses = false;
    if (value === null) units.delete(key);
    else {
      this.#options.observe?.(derivation.name, key);
      const reader = new TrackedReader(frame, key, unit);
      said = derivation.derive({ key, value }, reader);
      holdsAddresses = TrackedReader.close(reader);
    }
    unit.end(this.#labelReaders);
    if (unit.holdsAddresses && !holdsAddresses) this.#options.allocator.release(key);
    unit.holdsAddresses = holdsAddresses;
    this.#say(unit, derivation, said);
  }

  /** Takes what a derivation says now, and takes back what it said before and no longer does. */
  #say(unit: Unit, { name, writes }: Derivation, said: readonly Entry[]): void {
    const before = isList(unit.said) ? unit.said : [unit.said, unit.key];
    const [only] = said;
    if (only === undefined) unit.said = NOTHING;
    else if (said.length === 1 && only.key === unit.key) unit.said = only.table;
    else unit.said = said.flatMap(({ table, key }) => [table, key]).slice(); // of its own length
    for (let at = 0; at < before.length; at += 2) {
      const [table, key] = [before[at], before[at + 1]];
      if (typeof table !== 'object' || typeof key !== 'string') continue;
      if (!said.some((one) => one.table === table && one.key === key)) this.#store(table).say(unit, key, null);
    }
    for (const { table, key, value, rank } of said) {
      if (!writes.includes(table)) throw new Error(`derivation ${name} writes ${table.name} without saying so`);
      this.#store(table).say(unit, key, value, rank);
    }
  }
}

function isList(said: Unit['said']): said is readonly (AnyTable | string)[] {
  return Array.isArray(said);
}

const OUTSIDE: Speaker = { key: '' };
const NOTHING: readonly never[] = [];
