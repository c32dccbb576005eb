import { CONTROL } from '#model/settings/control-planes.ts';
import type { EncodedResource } from '#protocol/xds/encoded-resource.ts';
import { type KeptBlock, ResourceBlock, type ServedBlock, SLOTS_MAX } from '#protocol/xds/resource-block.ts';

/** Blocks that are kept together: 1 MiB at most, a few milliseconds of work. */
const GROUP = 8;

/**
 * Resources by name, and beside that in blocks of at most `CONTROL.responseBytesMax` bytes (a resource larger than that has
 * one to itself). Blocks are never taken away, so a client that reads one after the other misses only what changed since.
 */
export class EncodedBlocks {
  /** Name → number of its block, and of its slot there in the lower bits. */
  readonly #places = new Map<string, number>();
  readonly #blocks: ResourceBlock[] = [];
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

  /** Everything there is, some blocks at a time; `revision` grows with each change among them, from 0 on of blocks that were kept. */
  groups(): { revision: number; kept(): readonly KeptBlock[] }[] {
    const groups = [];
    for (let from = 0; from < this.#blocks.length; from += GROUP) {
      const blocks = this.#blocks.slice(from, from + GROUP);
      const kept = () => blocks.map((block) => block.kept());
      groups.push({ revision: blocks.reduce((sum, block) => sum + block.revision, 0), kept });
    }
    return groups;
  }

  /** Takes in a block that was kept, behind the others. */
  restore(kept: KeptBlock): void {
    const number = this.#blocks.length;
    const block = ResourceBlock.of(kept);
    this.#blocks.push(block);
    if (isRoomy(block)) this.#roomy.add(number);
    for (const [slot, name] of kept.names.entries()) this.#places.set(name, number * SLOTS_MAX + slot);
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

  #blockAt(place: number): ResourceBlock {
    const block = this.#blocks[Math.floor(place / SLOTS_MAX)];
    if (block === undefined) throw new Error('a resource is in no block');
    return block;
  }

  #take(place: number): void {
    const block = this.#blockAt(place);
    block.remove(place % SLOTS_MAX);
    if (isRoomy(block)) this.#roomy.add(Math.floor(place / SLOTS_MAX));
  }

  #blockFor(bytes: number): number {
    const hasRoom = (block: ResourceBlock | undefined): boolean =>
      block !== undefined && !block.isFull && (block.bytes + bytes <= CONTROL.responseBytesMax || block.bytes === 0);
    for (const number of this.#roomy) {
      if (hasRoom(this.#blocks[number])) return number;
      this.#roomy.delete(number);
    }
    const last = this.#blocks.length - 1;
    if (hasRoom(this.#blocks[last])) return last;
    // It is full: most of it stays as it is now.
    this.#blocks[last]?.tidy();
    this.#blocks.push(new ResourceBlock());
    return last + 1;
  }
}

/** Whether new resources go there before they go to a new block. */
function isRoomy(block: ResourceBlock): boolean {
  return block.bytes * 2 < CONTROL.responseBytesMax;
}
