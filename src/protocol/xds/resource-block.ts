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

const SLOTS_BITS = 13;
/** Resources of one block at most, so that the place of one is a small integer. */
export const SLOTS_MAX = 1 << SLOTS_BITS;

/** A block as it is kept over restarts: nothing in it is made anew when it comes back. */
export type KeptBlock = {
  names: readonly string[];
  /** Of each resource, in bytes. */
  lengths: Uint32Array;
  /** The resources as they lie in a response. */
  framed: Uint8Array;
};

/**
 * The bytes of some resources, as they lie in a response, one behind the other: there is no other copy of them, and nothing beside
 * them but where each begins. What changed lies loose until somebody wants the whole.
 */
export class ResourceBlock {
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
  /** Grows with each change. */
  revision = 0;

  static of({ names, lengths, framed: whole }: KeptBlock): ResourceBlock {
    const block = new ResourceBlock();
    block.#names.push(...names);
    block.#length.push(...lengths);
    block.bytes = lengths.reduce((sum, length) => sum + length, 0);
    block.#framed = Buffer.from(whole.buffer, whole.byteOffset, whole.byteLength);
    block.#place();
    return block;
  }

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
    this.#framed = framed(this.#slots().map((slot) => this.#wireAt(slot)));
    this.#place();
    this.#loose.clear();
    this.#isWhole = true;
  }

  /** Notes where each begins, of all that lie one behind the other. */
  #place(): void {
    let at = 0;
    for (const slot of this.#slots()) {
      const length = this.lengthAt(slot);
      at += framedLength(length);
      this.#from[slot] = at - length;
    }
  }

  /** As it is now, whatever becomes of it. */
  kept(): KeptBlock {
    this.tidy();
    const slots = this.#slots();
    const names = slots.flatMap((slot) => this.#names[slot] ?? []);
    return { names, lengths: Uint32Array.from(slots, (slot) => this.lengthAt(slot)), framed: this.#framed };
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
