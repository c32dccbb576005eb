import { isDeepStrictEqual } from 'node:util';
import { MultiMap } from '#control-plane/index/multi-map.ts';
import { compareText } from '#control-plane/resources/metadata.ts';
import { atOnce, type Work } from '#model/effects/work.ts';
import type { EncodedBlocks } from '#protocol/xds/encoded-blocks.ts';
import type { EncodedResource } from '#protocol/xds/encoded-resource.ts';
import { HashedIndex } from '#protocol/xds/hashed-index.ts';

/** An address, and its place in the blocks. */
export type PlacedAddress = { resource: EncodedResource; place: number };

/**
 * What leads to addresses beside their names. After a restart it is made when there is time: whoever follows everything does not need
 * it, and who asks before that waits for it.
 */
export class AddressIndex {
  readonly #blocks: EncodedBlocks;
  /** `<network>/<ip>` → places of addresses that answer to it: each has a word of its own, which would take more than what is sent. */
  readonly #byAlias = new HashedIndex();
  /** Node → uids of its workloads: an on-demand client of that node is sent them unasked. */
  readonly #byNode = new MultiMap<string, string>();
  /** Service key → uids of its workloads. */
  readonly #members = new MultiMap<string, string>();
  /** What is still to be noted of addresses that were restored; null: nothing. */
  #rest: Work<void> | null = null;

  /** blocks: where the addresses lie. */
  constructor(blocks: EncodedBlocks) {
    this.#blocks = blocks;
  }

  /** Addresses came into the blocks that were never put: they are found, too, from `completing` on at the latest. */
  restored(): void {
    this.#rest = this.#fill();
  }

  /** Notes what was restored, piece by piece. */
  *completing(): Work<void> {
    while (this.#rest !== null) {
      if (this.#rest.next().done === true) this.#rest = null;
      yield;
    }
  }

  /** An address has changed; null: there was none, or it is gone. Costs next to nothing where all that leads to it stayed the same. */
  change(before: PlacedAddress | null, after: PlacedAddress | null): void {
    if (isDeepStrictEqual(leadsTo(before), leadsTo(after))) return;
    if (before !== null) this.#drop(before);
    if (after !== null) this.#note(after);
  }

  /** Uids of the workloads of a node. */
  onNode(node: string): Iterable<string> {
    this.complete();
    return this.#byNode.at(node);
  }

  /** Uids of the workloads of a service. */
  membersOf(service: string): Iterable<string> {
    this.complete();
    return this.#members.at(service);
  }

  /** By name. */
  answeringTo(alias: string): EncodedResource[] {
    this.complete();
    const found = this.#byAlias.at(alias).map((place) => this.#blocks.at(place));
    return found.filter(({ aliases }) => aliases.includes(alias)).sort((a, b) => compareText(a.name, b.name));
  }

  /** To be called before an address changes: what was restored is noted as it was. */
  complete(): void {
    if (this.#rest !== null) atOnce(this.completing());
  }

  *#fill(): Work<void> {
    for (const name of this.#blocks.names()) {
      const place = this.#blocks.placeOf(name);
      if (place !== undefined) this.#note({ resource: this.#blocks.at(place), place });
      yield;
    }
  }

  #note({ resource, place }: PlacedAddress): void {
    for (const alias of resource.aliases) this.#byAlias.add(alias, place);
    for (const [index, key] of this.#keysOf(resource)) index.add(key, resource.name);
  }

  #drop({ resource, place }: PlacedAddress): void {
    for (const alias of resource.aliases) this.#byAlias.remove(alias, place);
    for (const [index, key] of this.#keysOf(resource)) index.remove(key, resource.name);
  }

  /** Every entry that leads to a resource. */
  *#keysOf(resource: EncodedResource): Iterable<[MultiMap<string, string>, string]> {
    if (resource.kind !== 'workload') return;
    if (resource.node !== '') yield [this.#byNode, resource.node];
    for (const service of resource.services) yield [this.#members, service];
  }
}

/** All that is noted of an address. */
function leadsTo(address: PlacedAddress | null): unknown {
  if (address === null) return null;
  const { resource, place } = address;
  return [place, resource.aliases, resource.kind, resource.node, resource.services];
}
