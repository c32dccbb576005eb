import { CONTROL } from '#model/settings/control-planes.ts';
import type { EncodedResource } from '#protocol/xds/encoded-resource.ts';
import type { ServedBlock } from '#protocol/xds/resource-block.ts';

/** Resources and removals of one response. */
export type Content = {
  resources: readonly EncodedResource[];
  removed: string[];
  /** `resources` as they lie in a response; null: not made ready. */
  framed: Buffer | null;
  /** The answer to a request is not whole yet: the rest follows in further responses. */
  more: boolean;
};

/** Content until it has the size of a response. */
export class Gathered {
  #resources: EncodedResource[] = [];
  #removed: string[] = [];
  #block: ServedBlock | null = null;
  #bytes = 0;

  get isFull(): boolean {
    return this.#bytes >= CONTROL.responseBytesMax;
  }

  get isEmpty(): boolean {
    return this.#block === null && this.#resources.length === 0 && this.#removed.length === 0;
  }

  add(resource: EncodedResource): void {
    this.#resources.push(resource);
    this.#bytes += resource.wire.length;
  }

  remove(name: string): void {
    this.#removed.push(name);
    this.#bytes += name.length;
  }

  /** A block with nothing beside it. */
  whole(block: ServedBlock): void {
    this.#block = block;
  }

  content(more: boolean): Content {
    const removed = this.#removed;
    if (this.#block !== null) return { ...this.#block, removed, more };
    return { resources: this.#resources, removed, framed: null, more };
  }
}
