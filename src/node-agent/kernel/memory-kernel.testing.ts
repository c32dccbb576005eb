import { WeftError } from '#model/error.ts';
import { SCHEMA } from '#model/kernel/abi.ts';
import { type KernelMaps, MAPS, type MapDefinition, TABLE_KINDS, type Table } from '#model/kernel/maps.ts';
import type { Kernel } from '#node-agent/effects/agent-effects.ts';

/**
 * A map in memory that behaves as the kernel's: it keeps bytes, so values are copies and numbers that do not fit are refused;
 * a full hash refuses new keys, a full LRU forgets what was written longest ago
 * (reading from user space keeps nothing alive in the kernel either), an array has all of its entries from the start.
 * src/platform/bpf/map-contract.test.ts holds it against the real maps.
 */
export class MemoryMap<K, V> implements Table<K, V> {
  readonly #name: string;
  readonly #definition: MapDefinition<K, V>;
  /** Key bytes as latin1 → value bytes; in an LRU the first was written longest ago. */
  readonly #kept = new Map<string, Buffer>();
  #closed = false;

  constructor(name: string, definition: MapDefinition<K, V>) {
    this.#name = name;
    this.#definition = definition;
    for (let index = 0; definition.kind === 'array' && index < definition.entriesMax; index++) {
      const key = Buffer.alloc(4);
      key.writeUInt32LE(index);
      this.#kept.set(key.toString('latin1'), Buffer.alloc(definition.value.size));
    }
  }

  get(key: K): V | null {
    const bytes = this.#kept.get(this.#text(key));
    return bytes === undefined ? null : this.#definition.value.decode(bytes);
  }

  take(key: K): V | null {
    const value = this.get(key);
    if (this.#definition.kind === 'array') throw this.#failure('read', 'ENOTSUPP');
    this.#kept.delete(this.#text(key));
    return value;
  }

  set(key: K, value: V): void {
    const text = this.#text(key);
    const { kind, entriesMax } = this.#definition;
    const bytes = this.#definition.value.encode(value);
    if (!this.#kept.has(text) && this.#kept.size >= entriesMax) {
      const oldest = this.#kept.keys().next().value;
      if (kind !== 'lru' || oldest === undefined) throw this.#failure('write', 'E2BIG');
      this.#kept.delete(oldest);
    }
    this.#store(text, bytes);
  }

  delete(key: K): boolean {
    const text = this.#text(key);
    if (this.#definition.kind === 'array') throw this.#failure('delete from', 'EINVAL');
    return this.#kept.delete(text);
  }

  entries(): [K, V][] {
    this.#requireOpen();
    const { key, value } = this.#definition;
    return [...this.#kept].map(([text, bytes]) => [key.decode(Buffer.from(text, 'latin1')), value.decode(bytes)]);
  }

  /** From now on every use is a bug of the caller and throws. */
  close(): void {
    this.#requireOpen();
    this.#closed = true;
  }

  #store(text: string, bytes: Buffer): void {
    if (this.#definition.kind === 'lru') this.#kept.delete(text);
    this.#kept.set(text, bytes);
  }

  #text(key: K): string {
    this.#requireOpen();
    return this.#definition.key.encode(key).toString('latin1');
  }

  #requireOpen(): void {
    if (this.#closed) throw new Error(`eBPF map ${this.#name} is used after it was closed`);
  }

  #failure(verb: string, code: string): WeftError {
    return new WeftError('WEFT_BPF_MAP', `cannot ${verb} eBPF map ${this.#name}: ${code}`);
  }
}

/** The data path's maps in memory; `addressesMax`: how many addresses fit, for tests of a full map. */
export function memoryMaps(addressesMax: number = MAPS.addresses.entriesMax): KernelMaps {
  const kinds: readonly string[] = TABLE_KINDS;
  const tables = Object.entries(MAPS)
    .filter(([, definition]) => kinds.includes(definition.kind))
    .map(([name, definition]) => {
      const entriesMax = name === 'addresses' ? addressesMax : definition.entriesMax;
      return [name, new MemoryMap(name, { ...definition, entriesMax } as MapDefinition<unknown, unknown>)];
    });
  return Object.fromEntries(tables) as KernelMaps;
}

/** A kernel for unit tests of the agent's bookkeeping. */
export function memoryKernel(addressesMax?: number): Kernel {
  return {
    maps: memoryMaps(addressesMax),
    schema: SCHEMA,
    adopted: false,
    nowNs: () => 0n,
    attachNamespace() {},
    detachNamespace() {},
    guardLink() {},
    releaseLink() {},
    counters: () => ({}),
    counter: () => 0,
  };
}
