import type { ServedSegment, TableName } from '#control-plane/kept/segments.ts';
import { atOnce, type Work } from '#model/effects/work.ts';
import type { MeshDelta } from '#model/mesh/mesh-state.ts';
import type { WaypointConfig } from '#model/waypoint/config.ts';
import { ChangeLog } from '#protocol/xds/change-log.ts';
import { EncodedBlocks } from '#protocol/xds/encoded-blocks.ts';
import {
  asLegacyWorkload,
  type EncodedResource,
  encodeAuthorization,
  encodeService,
  encodeWaypointConfig,
  encodeWorkload,
} from '#protocol/xds/encoded-resource.ts';
import { type Buckets, HeldNames } from '#protocol/xds/held-names.ts';
import type { KeptBlock, ServedBlock } from '#protocol/xds/resource-block.ts';
import type { ResourceView } from '#protocol/xds/subscription.ts';
import { ADDRESS_TYPE, AUTHORIZATION_TYPE, type TypeUrl, WAYPOINT_CONFIG_TYPE, WORKLOAD_TYPE } from '#protocol/xds/type-urls.ts';
import { AddressIndex } from './address-index.ts';

/** What the index says has changed; null stands for gone. */
export type StoreDelta = { mesh: MeshDelta; waypoints: ReadonlyMap<string, WaypointConfig | null> };

/**
 * Every resource there is, serialized once for all clients. The one writer is whoever applies the index's deltas;
 * sessions read it through ResourceView.
 */
export class ResourceStore implements ResourceView {
  readonly #tables: Readonly<Record<EncodedChange['table'], Table>> = {
    addresses: new Table(),
    policies: new Table(),
    waypoints: new Table(),
  };
  readonly #index = new AddressIndex(this.#tables.addresses.blocks);
  readonly #startedAt: string;
  #revision = 0;

  /** startedMs: tells the revisions of this process from those of the one before. */
  constructor(startedMs: number) {
    this.#startedAt = new Date(startedMs).toISOString();
  }

  /** Takes a delta in; whether some resource is now different on the wire. What is not is told to nobody. */
  apply(delta: StoreDelta): boolean {
    return atOnce(this.taking(atOnce(encoding(delta))));
  }

  /** The same piece by piece of what was encoded before; until it is at its end, nothing may be read. */
  *taking(encoded: readonly EncodedChange[]): Work<boolean> {
    let changed = false;
    for (const { table, name, resource } of encoded) {
      const differs = table === 'addresses' ? this.#putAddress(name, resource) : this.#tables[table].put(name, resource);
      changed = differs || changed;
      yield;
    }
    for (const { names } of Object.values(this.#tables)) yield* names.refreshing();
    // A revision is for people who compare logs; one that nothing changed in would only confuse them.
    if (changed) this.#revision += 1;
    return changed;
  }

  /** Removals of all that is there and was not encoded, piece by piece: for a change that brings everything. */
  *others(encoded: readonly EncodedChange[]): Work<EncodedChange[]> {
    const gone: EncodedChange[] = [];
    for (const table of TABLE_NAMES) {
      const there = new Set<string>();
      for (const change of encoded) {
        if (change.table === table && change.resource !== null) there.add(change.name);
        yield;
      }
      for (const name of this.#tables[table].blocks.names()) {
        if (!there.has(name)) gone.push({ table, name, resource: null });
        yield;
      }
    }
    return gone;
  }

  /** Takes in what was served before a restart, piece by piece: as the first of all, while nobody is served. */
  *restoring(segments: readonly ServedSegment[]): Work<void> {
    for (const { table, blocks } of segments) {
      for (const block of blocks) {
        this.#tables[table].restore(block);
        yield;
      }
    }
    for (const { names } of Object.values(this.#tables)) yield* names.refreshing();
    this.#index.restored();
    this.#revision += 1;
  }

  /** What on-demand clients ask for is found sooner once this is done, after `restoring`. */
  indexing(): Work<void> {
    return this.#index.completing();
  }

  /** Everything that is served, in pieces with keys that stay; `revision` is another one once a piece is. */
  segments(): { key: string; revision: number; take(): ServedSegment }[] {
    return TABLE_NAMES.flatMap((table) =>
      this.#tables[table].blocks.groups().map(({ revision, kept }, at) => {
        return { key: `${table}-${at}`, revision, take: () => ({ table, blocks: kept() }) };
      }),
    );
  }

  /** Forgets changes that every client has been told. */
  trim(): void {
    for (const table of Object.values(this.#tables)) table.log.trim();
  }

  systemVersion(): string {
    return `${this.#startedAt}/${this.#revision}`;
  }

  /** How many resources there are of each kind. */
  counts(): { addresses: number; policies: number; waypoints: number } {
    return {
      addresses: this.#tables.addresses.blocks.size,
      policies: this.#tables.policies.blocks.size,
      waypoints: this.#tables.waypoints.blocks.size,
    };
  }

  get(typeUrl: TypeUrl, name: string): EncodedResource | null {
    const resource = this.#tableOf(typeUrl).blocks.get(name) ?? null;
    return typeUrl === WORKLOAD_TYPE && resource !== null ? asLegacyWorkload(resource) : resource;
  }

  block(typeUrl: TypeUrl, index: number): ServedBlock | null {
    const { blocks } = this.#tableOf(typeUrl);
    if (index >= blocks.count) return null;
    const block = blocks.block(index);
    if (typeUrl !== WORKLOAD_TYPE) return block;
    return { resources: block.resources.flatMap((address) => asLegacyWorkload(address) ?? []), framed: null };
  }

  changes(typeUrl: TypeUrl): ChangeLog {
    return this.#tableOf(typeUrl).log;
  }

  lookup(typeUrl: TypeUrl, name: string): readonly EncodedResource[] {
    if (typeUrl !== ADDRESS_TYPE && typeUrl !== WORKLOAD_TYPE) {
      const found = this.get(typeUrl, name);
      return found === null ? [] : [found];
    }
    const found = this.#lookupAddress(name);
    return typeUrl === ADDRESS_TYPE ? found : found.flatMap((address) => asLegacyWorkload(address) ?? []);
  }

  differing(typeUrl: TypeUrl, digests: Uint8Array): Buckets | null {
    return this.#tableOf(typeUrl).names.differing(digests);
  }

  namesIn(typeUrl: TypeUrl, buckets: Buckets): Iterator<string> {
    return this.#tableOf(typeUrl).names.namesIn(buckets);
  }

  onNode(node: string): readonly EncodedResource[] {
    return this.#named(this.#index.onNode(node));
  }

  /** In ztunnel's order: uid, workload by address, then service by key or address with its workloads. */
  #lookupAddress(name: string): readonly EncodedResource[] {
    const own = this.#tables.addresses.blocks.get(name);
    if (own?.kind === 'workload') return [own];
    const others = this.#index.answeringTo(name);
    const workloads = others.filter(({ kind }) => kind === 'workload');
    if (workloads.length > 0) return workloads;
    const services = own === undefined ? others : [own];
    return services.flatMap((service) => [service, ...this.#named(this.#index.membersOf(service.name))]);
  }

  #named(names: Iterable<string>): EncodedResource[] {
    return [...names].flatMap((name) => this.#tables.addresses.blocks.get(name) ?? []);
  }

  #tableOf(typeUrl: TypeUrl): Table {
    switch (typeUrl) {
      case ADDRESS_TYPE:
      case WORKLOAD_TYPE:
        return this.#tables.addresses;
      case AUTHORIZATION_TYPE:
        return this.#tables.policies;
      case WAYPOINT_CONFIG_TYPE:
        return this.#tables.waypoints;
    }
  }

  #putAddress(name: string, next: EncodedResource | null): boolean {
    this.#index.complete();
    const { blocks } = this.#tables.addresses;
    const place = blocks.placeOf(name);
    const before = place === undefined ? null : { resource: blocks.at(place), place };
    if (!this.#tables.addresses.put(name, next)) return false;
    this.#index.change(before, next === null ? null : { resource: next, place: blocks.placeOf(name) ?? -1 });
    return true;
  }
}

const TABLE_NAMES: readonly TableName[] = ['addresses', 'policies', 'waypoints'];

/** A resource as it is from now on, null when it is gone. */
export type EncodedChange = { table: TableName; name: string; resource: EncodedResource | null };

/** Serializes what has changed, piece by piece. */
export function* encoding({ mesh, waypoints }: StoreDelta): Work<EncodedChange[]> {
  const encoded: EncodedChange[] = [];
  yield* encodeAll(encoded, 'addresses', mesh.workloads, encodeWorkload);
  yield* encodeAll(encoded, 'addresses', mesh.services, encodeService);
  yield* encodeAll(encoded, 'policies', mesh.policies, encodeAuthorization);
  yield* encodeAll(encoded, 'waypoints', waypoints, encodeWaypointConfig);
  return encoded;
}

function* encodeAll<Value>(
  encoded: EncodedChange[],
  table: EncodedChange['table'],
  changes: ReadonlyMap<string, Value | null>,
  encode: (value: Value) => EncodedResource,
): Work<void> {
  for (const [name, value] of changes) {
    encoded.push({ table, name, resource: value === null ? null : encode(value) });
    yield;
  }
}

/** The resources of one type, in parts that are ready to be sent, and what changed in them. */
class Table {
  readonly blocks = new EncodedBlocks();
  readonly log = new ChangeLog();
  readonly names = new HeldNames((name) => this.blocks.get(name)?.version ?? '');

  restore(block: KeptBlock): void {
    this.blocks.restore(block);
    for (const name of block.names) this.names.holdNew(name);
  }

  /** True when the resource under `name` is now another one on the wire. */
  put(name: string, next: EncodedResource | null): boolean {
    if (next === null) {
      const wasThere = this.blocks.delete(name);
      if (wasThere) this.log.removed(name);
      if (wasThere) this.names.drop(name);
      return wasThere;
    }
    const before = this.blocks.get(name);
    if (before !== undefined && Buffer.compare(before.wire, next.wire) === 0) return false;
    this.blocks.set(name, next);
    this.log.updated(name);
    if (before === undefined) this.names.holdNew(name);
    else this.names.hold(name);
    return true;
  }
}
