import { CONTROL } from '#model/settings/control-planes.ts';
import { framed, framedLength } from '#protocol/xds/encode-response.ts';
import type { EncodedResource } from '#protocol/xds/encoded-resource.ts';
import { StoredResource } from '#protocol/xds/stored-resource.ts';

/** A part of everything there is: small enough for one response, and made ready once for all clients. */
export type ServedBlock = {
  resources: readonly EncodedResource[];
  /** The resources as they lie in a response; null: of a type that is made of another one's resources. */
  framed: Buffer | null;
};

/** Resources of one block at most, so that the place of one is a small integer. */
const SLOTS_BITS = 13;
const SLOTS_MAX = 1 << SLOTS_BITS;

/**
 * The bytes of some resources, as they lie in a response, one behind the other: there is no other copy of them, and nothing beside
 * them but where each begins. What changed lies loose until somebody wants the whole.
 */
class Block {
  /** By slot; null: free. */
  readonly #names: (string | null)[] = [];
  /** By slot: where its bytes begin in `#framed`, and how many they are. */
  readonly #from: number[] = [];
  readonly #length: number[] = [];
  readonly #loose = new Map<number, Uint8Array>();
  readonly #free: number[] = [];
  #framed: Buffer = Buffer.alloc(0);
  #isWhole = true;
  /** What was put together last, for as long as somebody reads it. */
  #served: WeakRef<ServedBlock> | null = null;
  bytes = 0;
  revision = 0;

  get isFull(): boolean {
    return this.#names.length >= SLOTS_MAX && this.#free.length === 0;
  }

  /** Returns the slot of the new resource. */
  add(name: string, wire: Uint8Array): number {
    const slot = this.#free.pop() ?? this.#names.length;
    this.#names[slot] = name;
    this.#length[slot] = 0;
    this.#from[slot] = 0;
    this.put(slot, wire);
    return slot;
  }

  put(slot: number, wire: Uint8Array): void {
    this.#change(slot, wire.length);
    this.#loose.set(slot, wire);
    if (this.#loose.size > CONTROL.looseResourcesMax && this.#loose.size * 4 > this.#names.length) this.tidy();
  }

  remove(slot: number): void {
    this.#change(slot, 0);
    this.#loose.delete(slot);
    this.#names[slot] = null;
    this.#free.push(slot);
  }

  #change(slot: number, length: number): void {
    this.bytes += length - this.lengthAt(slot);
    this.#length[slot] = length;
    this.#isWhole = false;
    this.#served = null;
    this.revision += 1;
  }

  lengthAt(slot: number): number {
    return this.#length[slot] ?? 0;
  }

  at(slot: number): EncodedResource {
    return new StoredResource(this.#wireAt(slot), this.#names[slot] ?? null);
  }

  #wireAt(slot: number): Uint8Array {
    const loose = this.#loose.get(slot);
    if (loose !== undefined) return loose;
    const { buffer, byteOffset } = this.#framed;
    return new Uint8Array(buffer, byteOffset + (this.#from[slot] ?? 0), this.lengthAt(slot));
  }

  resources(): EncodedResource[] {
    return this.#slots().map((slot) => this.at(slot));
  }

  #slots(): number[] {
    return this.#names.flatMap((name, slot) => (name === null ? [] : [slot]));
  }

  /** Puts its bytes together, in memory of their own: what was read before stays as it was. */
  tidy(): void {
    if (this.#isWhole) return;
    const slots = this.#slots();
    const whole = framed(slots.map((slot) => this.#wireAt(slot)));
    let at = 0;
    for (const slot of slots) {
      const length = this.lengthAt(slot);
      at += framedLength(length);
      this.#from[slot] = at - length;
    }
    this.#framed = whole;
    this.#loose.clear();
    this.#isWhole = true;
  }

  served(): ServedBlock {
    const known = this.#served?.deref();
    if (known !== undefined) return known;
    this.tidy();
    const served = { resources: this.resources(), framed: this.#framed };
    this.#served = new WeakRef(served);
    return served;
  }
}

/** Blocks that are kept together: 1 MiB at most, a few milliseconds of work. */
const GROUP = 8;

/**
 * Resources by name, and beside that in blocks of at most `CONTROL.responseBytesMax` bytes (a resource larger than that has
 * one to itself). Blocks are never taken away, so a client that reads one after the other misses only what changed since.
 */
export class EncodedBlocks {
  /** Name → number of its block, and of its slot there in the lower bits. */
  readonly #places = new Map<string, number>();
  readonly #blocks: Block[] = [];
  /** Numbers of blocks that have become half empty: new resources go there first. */
  readonly #roomy = new Set<number>();

  get size(): number {
    return this.#places.size;
  }

  get count(): number {
    return this.#blocks.length;
  }

  names(): Iterable<string> {
    return this.#places.keys();
  }

  /** Everything there is, some blocks at a time; `revision` grows with each change among them. */
  groups(): { revision: number; resources(): readonly EncodedResource[] }[] {
    const groups = [];
    for (let from = 0; from < this.#blocks.length; from += GROUP) {
      const blocks = this.#blocks.slice(from, from + GROUP);
      const resources = () => blocks.flatMap((block) => block.resources());
      groups.push({ revision: blocks.reduce((sum, block) => sum + block.revision, 0), resources });
    }
    return groups;
  }

  get(name: string): EncodedResource | undefined {
    const place = this.#places.get(name);
    return place === undefined ? undefined : this.at(place);
  }

  /** Where a resource lies, until it is put or deleted again. */
  placeOf(name: string): number | undefined {
    return this.#places.get(name);
  }

  /** What lies at a place that `placeOf` told. */
  at(place: number): EncodedResource {
    return this.#blockAt(place).at(place % SLOTS_MAX);
  }

  /** The block at an index below `count`. */
  block(index: number): ServedBlock {
    return this.#blocks[index]?.served() ?? { resources: [], framed: null };
  }

  /** `wire` is kept, and stays as it is. */
  set(name: string, { wire }: Pick<EncodedResource, 'wire'>): void {
    const place = this.#places.get(name);
    if (place !== undefined) {
      const block = this.#blockAt(place);
      const slot = place % SLOTS_MAX;
      if (block.bytes + wire.length - block.lengthAt(slot) <= CONTROL.responseBytesMax) {
        block.put(slot, wire);
        return;
      }
      this.#take(place);
    }
    const number = this.#blockFor(wire.length);
    const slot = this.#blocks[number]?.add(name, wire) ?? 0;
    this.#places.set(name, number * SLOTS_MAX + slot);
  }

  /** Whether it was there. */
  delete(name: string): boolean {
    const place = this.#places.get(name);
    if (place === undefined) return false;
    this.#take(place);
    this.#places.delete(name);
    return true;
  }

  #blockAt(place: number): Block {
    const block = this.#blocks[Math.floor(place / SLOTS_MAX)];
    if (block === undefined) throw new Error('a resource is in no block');
    return block;
  }

  #take(place: number): void {
    const block = this.#blockAt(place);
    block.remove(place % SLOTS_MAX);
    if (block.bytes * 2 < CONTROL.responseBytesMax) this.#roomy.add(Math.floor(place / SLOTS_MAX));
  }

  #blockFor(bytes: number): number {
    const hasRoom = (block: Block | undefined): boolean =>
      block !== undefined && !block.isFull && (block.bytes + bytes <= CONTROL.responseBytesMax || block.bytes === 0);
    for (const number of this.#roomy) {
      if (hasRoom(this.#blocks[number])) return number;
      this.#roomy.delete(number);
    }
    const last = this.#blocks.length - 1;
    if (hasRoom(this.#blocks[last])) return last;
    // It is full: most of it stays as it is now.
    this.#blocks[last]?.tidy();
    this.#blocks.push(new Block());
    return last + 1;
  }
}
