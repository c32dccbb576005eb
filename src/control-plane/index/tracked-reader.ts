import type { MeshReader } from '#control-plane/index/derivation.ts';
import type { MeshOptions } from '#control-plane/index/mesh-options.ts';
import type { Reading } from '#control-plane/index/readers.ts';
import type { AnyTable, ValueOf, WayOf } from '#control-plane/index/table.ts';
import type { TableStore } from '#control-plane/index/table-store.ts';
import { RESERVED_ADDRESSES, type VipAllocator } from '#control-plane/index/vip-allocator.ts';
import type { Labels } from '#control-plane/resources/metadata.ts';
import type { Family, IpAddress } from '#model/address/ip.ts';

/** What a reader is made of. */
export type ReaderFrame = {
  /** Name of the derivation, for the message when it reads what it did not say. */
  name: string;
  options: MeshOptions;
  /** The tables that the derivation may read. */
  stores: ReadonlyMap<AnyTable, TableStore>;
  allocator: VipAllocator;
};

/**
 * The look-ups of one derivation of one subject. It is frozen, knows only the tables that the derivation named, and is of
 * no use once the derivation has returned: nothing can be read without being remembered.
 */
export class TrackedReader implements MeshReader<AnyTable> {
  readonly options: MeshOptions;
  readonly #frame: ReaderFrame;
  readonly #key: string;
  #reading: Reading | null;
  #allocated = false;

  constructor(frame: ReaderFrame, key: string, reading: Reading) {
    this.options = frame.options;
    this.#frame = frame;
    this.#key = key;
    this.#reading = reading;
    Object.freeze(this);
  }

  get<T extends AnyTable>(table: T, key: string): ValueOf<T> | null {
    return this.#store(table).get(key, this.#open()) as ValueOf<T> | null;
  }

  keysBy<T extends AnyTable>(table: T, way: WayOf<T>, word: string): readonly string[] {
    return this.#store(table).keysBy(way, word, this.#open());
  }

  valuesBy<T extends AnyTable>(table: T, way: WayOf<T>, word: string): readonly ValueOf<T>[] {
    return this.#store(table).valuesBy(way, word, this.#open()) as ValueOf<T>[];
  }

  pickedBy<T extends AnyTable>(table: T, namespace: string, selector: Labels): readonly ValueOf<T>[] {
    return this.#store(table).pickedBy(namespace, selector, this.#open()) as ValueOf<T>[];
  }

  picking<T extends AnyTable>(table: T, namespace: string, labels: Labels): readonly ValueOf<T>[] {
    return this.#store(table).picking(namespace, labels, this.#open()) as ValueOf<T>[];
  }

  allocate(families: readonly Family[]): readonly IpAddress[] {
    this.#open();
    this.#allocated = families.length > 0;
    // Each address that is tried is looked up, so whoever reserves it later moves this key away from it.
    return this.#frame.allocator.allocate(this.#key, families, (ip) => this.get(RESERVED_ADDRESSES, ip) !== null);
  }

  /** Ends the reading. Returns whether the key holds allocated addresses. */
  static close(reader: TrackedReader): boolean {
    reader.#reading = null;
    return reader.#allocated;
  }

  #store(table: AnyTable): TableStore {
    const store = this.#frame.stores.get(table);
    if (store === undefined) throw new Error(`derivation ${this.#frame.name} reads ${table.name} without saying so`);
    return store;
  }

  #open(): Reading {
    if (this.#reading === null) throw new Error(`derivation ${this.#frame.name} reads after it has returned`);
    return this.#reading;
  }
}
