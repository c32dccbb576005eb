import { CONTROL } from '#model/settings/control-planes.ts';
import { framed } from '#protocol/xds/encode-response.ts';
import type { EncodedResource } from '#protocol/xds/encoded-resource.ts';

/** A part of everything there is: small enough for one response, and made ready once for all clients. */
export type ServedBlock = {
  resources: readonly EncodedResource[];
  /** The resources as they lie in a response; null: of a type that is made of another one's resources. */
  framed: Buffer | null;
};

class Block {
  readonly resources = new Map<string, EncodedResource>();
  bytes = 0;
  revision = 0;
  #served: ServedBlock | null = null;

  put(name: string, resource: EncodedResource | null): void {
    const before = this.resources.get(name);
    this.bytes += (resource?.wire.length ?? 0) - (before?.wire.length ?? 0);
    if (resource === null) this.resources.delete(name);
    else this.resources.set(name, resource);
    this.#served = null;
    this.revision += 1;
  }

  served(): ServedBlock {
    if (this.#served === null) {
      const resources = [...this.resources.values()];
      this.#served = { resources, framed: framed(resources.map(({ wire }) => wire)) };
    }
    return this.#served;
  }
}

/** Blocks that are kept together: 1 MiB at most, a few milliseconds of work. */
const GROUP = 8;

/**
 * Resources by name, and beside that in blocks of at most `CONTROL.responseBytesMax` bytes (a resource larger than that has
 * one to itself). Blocks are never taken away, so a client that reads one after the other misses only what changed since.
 */
export class EncodedBlocks {
  readonly #blockOf = new Map<string, Block>();
  readonly #blocks: Block[] = [];
  /** Blocks that have become half empty: new resources go there first. */
  readonly #roomy = new Set<Block>();

  get size(): number {
    return this.#blockOf.size;
  }

  get count(): number {
    return this.#blocks.length;
  }

  names(): Iterable<string> {
    return this.#blockOf.keys();
  }

  /** Everything there is, some blocks at a time; `revision` grows with each change among them. */
  groups(): { revision: number; resources(): readonly EncodedResource[] }[] {
    const groups = [];
    for (let from = 0; from < this.#blocks.length; from += GROUP) {
      const blocks = this.#blocks.slice(from, from + GROUP);
      const resources = () => blocks.flatMap((block) => [...block.resources.values()]);
      groups.push({ revision: blocks.reduce((sum, block) => sum + block.revision, 0), resources });
    }
    return groups;
  }

  get(name: string): EncodedResource | undefined {
    return this.#blockOf.get(name)?.resources.get(name);
  }

  /** The block at an index below `count`. */
  block(index: number): ServedBlock {
    return this.#blocks[index]?.served() ?? { resources: [], framed: null };
  }

  set(name: string, resource: EncodedResource): void {
    const before = this.#blockOf.get(name);
    const growth = resource.wire.length - (before?.resources.get(name)?.wire.length ?? 0);
    if (before !== undefined && before.bytes + growth <= CONTROL.responseBytesMax) {
      before.put(name, resource);
      return;
    }
    if (before !== undefined) this.#take(before, name);
    const block = this.#blockFor(resource.wire.length);
    block.put(name, resource);
    this.#blockOf.set(name, block);
  }

  /** Whether it was there. */
  delete(name: string): boolean {
    const block = this.#blockOf.get(name);
    if (block === undefined) return false;
    this.#take(block, name);
    this.#blockOf.delete(name);
    return true;
  }

  #take(block: Block, name: string): void {
    block.put(name, null);
    if (block.bytes * 2 < CONTROL.responseBytesMax) this.#roomy.add(block);
  }

  #blockFor(bytes: number): Block {
    const hasRoom = (block: Block): boolean => block.bytes + bytes <= CONTROL.responseBytesMax || block.bytes === 0;
    for (const block of this.#roomy) {
      if (hasRoom(block)) return block;
      this.#roomy.delete(block);
    }
    const last = this.#blocks.at(-1);
    if (last !== undefined && hasRoom(last)) return last;
    const block = new Block();
    this.#blocks.push(block);
    return block;
  }
}
