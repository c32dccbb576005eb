import { closeSync } from 'node:fs';
import { WeftError } from '#model/error.ts';
import type { Layout } from '#model/kernel/layout.ts';
import type { MapDefinition, Table } from '#model/kernel/maps.ts';
import { ENOENT, errno, errnoName } from '#platform/ffi/libc.ts';
import { libbpf } from './libbpf.ts';

/** An open eBPF map: its name and its file descriptor, which it owns. */
export class OpenMap {
  readonly name: string;
  #fd: number;

  constructor(name: string, fd: number) {
    this.name = name;
    this.#fd = fd;
  }

  /**
   * The file descriptor. Asserts that the map is open: a closed number may by now be another map, whose larger values the
   * kernel would write past the end of our buffers.
   */
  get fd(): number {
    if (this.#fd < 0) throw new Error(`eBPF map ${this.name} is used after it was closed`);
    return this.#fd;
  }

  /** Closes the file descriptor; the pinned map lives on. */
  close(): void {
    const fd = this.fd;
    this.#fd = -1;
    closeSync(fd);
  }
}

/** A typed view of one eBPF map. Values are plain objects; a missing key is null. */
export class BpfMap<K, V> extends OpenMap implements Table<K, V> {
  readonly #key: Layout<K>;
  readonly #value: Layout<V>;
  /** For one call each: the kernel copies, and what is read is decoded before there can be another. */
  readonly #keyBytes: Buffer;
  readonly #valueBytes: Buffer;

  constructor(name: string, fd: number, { key, value }: Pick<MapDefinition<K, V>, 'key' | 'value'>) {
    super(name, fd);
    this.#key = key;
    this.#value = value;
    this.#keyBytes = Buffer.alloc(key.size);
    this.#valueBytes = Buffer.alloc(value.size);
  }

  get(key: K): V | null {
    return this.#read(libbpf().mapLookup(this.fd, this.#encoded(key), this.#valueBytes));
  }

  take(key: K): V | null {
    return this.#read(libbpf().mapTake(this.fd, this.#encoded(key), this.#valueBytes));
  }

  /** Errors: WEFT_BPF_MAP, with E2BIG in the message when the map is full. */
  set(key: K, value: V): void {
    this.#value.write(this.#valueBytes, 0, value);
    if (libbpf().mapUpdate(this.fd, this.#encoded(key), this.#valueBytes, 0n) === 0) return;
    throw this.#failure('write', errno());
  }

  /** True when the key was there. */
  delete(key: K): boolean {
    if (libbpf().mapDelete(this.fd, this.#encoded(key)) === 0) return true;
    const code = errno();
    if (code === ENOENT) return false;
    throw this.#failure('delete from', code);
  }

  /** A snapshot of all entries; those that vanish while reading are left out. */
  entries(): [K, V][] {
    const found: [K, V][] = [];
    const seen = new Set<string>();
    for (const key of this.#keys()) {
      const text = key.toString('latin1');
      if (seen.has(text)) break; // a deleted cursor makes the kernel start over
      seen.add(text);
      const into = Buffer.alloc(this.#value.size);
      if (libbpf().mapLookup(this.fd, key, into) === 0) found.push([this.#key.decode(key), this.#value.decode(into)]);
    }
    return found;
  }

  #encoded(key: K): Buffer {
    this.#key.write(this.#keyBytes, 0, key);
    return this.#keyBytes;
  }

  #read(failed: number): V | null {
    if (failed === 0) return this.#value.decode(this.#valueBytes);
    const code = errno();
    if (code === ENOENT) return null;
    throw this.#failure('read', code);
  }

  *#keys(): Generator<Buffer> {
    let previous: Buffer | null = null;
    for (;;) {
      const next = Buffer.alloc(this.#key.size);
      if (libbpf().mapNextKey(this.fd, previous, next) !== 0) return;
      yield next;
      previous = next;
    }
  }

  #failure(verb: string, code: number): WeftError {
    return new WeftError('WEFT_BPF_MAP', `cannot ${verb} eBPF map ${this.name}: ${errnoName(code)}`, {
      remedy: 'run the agent as root (CAP_BPF); E2BIG means that the map is full',
    });
  }
}

/** Opens a pinned map for its descriptor alone. Errors: WEFT_BPF_PIN when it is not there. */
export function openPin(path: string): OpenMap {
  const fd = libbpf().pinnedGet(path);
  if (fd >= 0) return new OpenMap(path.slice(path.lastIndexOf('/') + 1), fd);
  throw new WeftError('WEFT_BPF_PIN', `cannot open pinned eBPF map ${path}: ${errnoName(errno())}`, {
    remedy: 'start the agent of this node first',
  });
}

/** Opens a pinned map. Errors: WEFT_BPF_PIN when it is not there, or has other sizes than its definition (another version's). */
export function openPinnedMap<K, V>(path: string, definition: MapDefinition<K, V>): BpfMap<K, V> {
  const pin = openPin(path);
  const { keyBytes, valueBytes } = sizesOf(pin.fd);
  const { key, value } = definition;
  if (keyBytes === key.size && valueBytes === value.size) return new BpfMap(pin.name, pin.fd, definition);
  pin.close();
  throw new WeftError(
    'WEFT_BPF_PIN',
    `pinned eBPF map ${path} has entries of ${keyBytes} + ${valueBytes} bytes, not ${key.size} + ${value.size}`,
    { remedy: 'it is of another version: weft uninstall removes it' },
  );
}

/** The kernel's number of an open map, never used again. */
export function mapId(fd: number): number {
  return infoOf(fd).readUInt32LE(4);
}

/** Fixed by the kernel: struct bpf_map_info. */
const MAP_INFO_BYTES = 88;

function sizesOf(fd: number): { keyBytes: number; valueBytes: number } {
  const info = infoOf(fd);
  return { keyBytes: info.readUInt32LE(8), valueBytes: info.readUInt32LE(12) };
}

/** The first fields of `struct bpf_map_info`: type, id, key size, value size. */
function infoOf(fd: number): Buffer {
  const info = Buffer.alloc(MAP_INFO_BYTES);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(MAP_INFO_BYTES);
  libbpf().infoByFd(fd, info, length);
  return info;
}
