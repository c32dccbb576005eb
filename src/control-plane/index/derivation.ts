import type { MeshOptions } from '#control-plane/index/mesh-options.ts';
import type { AnyTable, Entry, ValueOf, WayOf } from '#control-plane/index/table.ts';
import type { Labels } from '#control-plane/resources/metadata.ts';
import type { Family, IpAddress } from '#model/address/ip.ts';

/**
 * All that a derivation sees of the mesh. Every look-up is remembered, also one that finds nothing: when its answer
 * changes, the derivation runs again. There is no other way to the tables, so no dependency can be forgotten.
 */
export type MeshReader<Reads extends AnyTable> = {
  readonly options: MeshOptions;
  /** The entry under a key. */
  get<T extends Reads>(table: T, key: string): ValueOf<T> | null;
  /** Keys of the entries that are found by a word, in order; a change of their values does not matter. */
  keysBy<T extends Reads>(table: T, way: WayOf<T>, word: string): readonly string[];
  /** The entries that are found by a word, in order of key. */
  valuesBy<T extends Reads>(table: T, way: WayOf<T>, word: string): readonly ValueOf<T>[];
  /** The labelled entries of a namespace that `selector` picks, in order of key; an empty selector picks nothing. */
  pickedBy<T extends Reads>(table: T, namespace: string, selector: Labels): readonly ValueOf<T>[];
  /** The entries of a namespace whose selector picks `labels`, in order of key. */
  picking<T extends Reads>(table: T, namespace: string, labels: Labels): readonly ValueOf<T>[];
  /**
   * Addresses that nobody else has, one per family, kept for this key for as long as it asks for them; fewer when a
   * range is exhausted. Needs RESERVED_ADDRESSES among the tables that are read.
   */
  allocate(families: readonly Family[]): readonly IpAddress[];
};

/** What one derivation is made from. */
export type Subject<Value> = { key: string; value: Value };

/**
 * A pure function from one entry of a table, and what it looks up, to entries of other tables. Entries that it no longer
 * says, and all of them when its subject is gone, are removed by the engine.
 */
export type Derivation = {
  name: string;
  /** It runs once for each entry of this table. */
  each: AnyTable;
  /** Tables it looks things up in. */
  reads: readonly AnyTable[];
  /** Tables it says something in. They decide which derivations come after it. */
  writes: readonly AnyTable[];
  derive(subject: Subject<unknown>, mesh: MeshReader<AnyTable>): readonly Entry[];
};

/** A derivation that is held to the tables it names. */
export function defineDerivation<Each extends AnyTable, Reads extends AnyTable, Writes extends AnyTable>(derivation: {
  name: string;
  each: Each;
  reads: readonly Reads[];
  writes: readonly Writes[];
  derive(subject: Subject<ValueOf<Each>>, mesh: MeshReader<Reads>): readonly Entry<Writes>[];
}): Derivation {
  return derivation;
}

/**
 * The order in which derivations run: each after those that write what it reads, so that one pass is enough. Ties keep the
 * order of the list. Errors: Error when some wait for one another, which is a mistake of whoever wrote them.
 */
export function inOrder(derivations: readonly Derivation[]): Derivation[] {
  const ordered: Derivation[] = [];
  let waiting = [...derivations];
  while (waiting.length > 0) {
    const ready = waiting.find((one) => !waiting.some((other) => feeds(other, one)));
    if (ready === undefined) throw new Error(`derivations read one another: ${waiting.map(({ name }) => name).join(', ')}`);
    ordered.push(ready);
    waiting = waiting.filter((one) => one !== ready);
  }
  return ordered;
}

function feeds({ writes }: Derivation, { each, reads }: Derivation): boolean {
  return writes.some((table) => table === each || reads.includes(table));
}
