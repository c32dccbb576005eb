import { type IpAddress, ipToBytes16, readMappedIp } from '#model/address/ip.ts';

/** One field of a C struct: where it is, how wide, and how it is read and written. */
export type Field<T> = {
  size: number;
  write(into: Buffer, at: number, value: T): void;
  read(from: Buffer, at: number): T;
};

/** One byte. */
export const u8: Field<number> = {
  size: 1,
  write: (into, at, value) => into.writeUInt8(value, at),
  read: (from, at) => from.readUInt8(at),
};
/** Host byte order: Weft's eBPF side runs on little-endian machines only. */
export const u16: Field<number> = {
  size: 2,
  write: (into, at, value) => into.writeUInt16LE(value, at),
  read: (from, at) => from.readUInt16LE(at),
};
/** Four bytes, host order. */
export const u32: Field<number> = {
  size: 4,
  write: (into, at, value) => into.writeUInt32LE(value, at),
  read: (from, at) => from.readUInt32LE(at),
};
/** Four bytes with a sign, host order. */
export const s32: Field<number> = {
  size: 4,
  write: (into, at, value) => into.writeInt32LE(value, at),
  read: (from, at) => from.readInt32LE(at),
};
/** What was written last, in halves: a network namespace is the same for one connection after the other, and a bigint is slow to take apart. */
const lastU64 = { value: 0n, low: 0, high: 0 };

/** Eight bytes, host order. */
export const u64: Field<bigint> = {
  size: 8,
  write: (into, at, value) => {
    if (value !== lastU64.value) {
      into.writeBigUInt64LE(value, at);
      lastU64.low = into.readUInt32LE(at);
      lastU64.high = into.readUInt32LE(at + 4);
      lastU64.value = value;
    } else {
      into.writeUInt32LE(lastU64.low, at);
      into.writeUInt32LE(lastU64.high, at + 4);
    }
  },
  read: (from, at) => from.readBigUInt64LE(at),
};

const NO_IP = Buffer.alloc(16);

/** `struct weft_ip`: 16 bytes, network order, IPv4 as v4-mapped; null is all zero. */
export const ip: Field<IpAddress | null> = {
  size: 16,
  write: (into, at, value) => {
    (value === null ? NO_IP : ipToBytes16(value)).copy(into, at);
  },
  read: readMappedIp,
};

/** `__u8[6]`: the address of a network interface, as `02:00:5e:10:00:01`. */
export const mac: Field<string> = {
  size: 6,
  write: (into, at, value) => void into.write(value.replaceAll(':', ''), at, 6, 'hex'),
  read: (from, at) => (from.toString('hex', at, at + 6).match(/../g) ?? []).join(':'),
};

/** A fixed array of equal fields. */
export function list<T>(field: Field<T>, length: number): Field<T[]> {
  return {
    size: field.size * length,
    write: (into, at, values) => {
      for (const [index, value] of values.slice(0, length).entries()) field.write(into, at + index * field.size, value);
    },
    read: (from, at) => Array.from({ length }, (_, index) => field.read(from, at + index * field.size)),
  };
}

/** A NUL-terminated string in a fixed array. Errors: RangeError when it does not fit. */
export function chars(size: number): Field<string> {
  return {
    size,
    write: (into, at, value) => {
      const bytes = Buffer.from(value, 'utf8');
      if (bytes.length >= size) throw new RangeError(`"${value}" is longer than ${size - 1} bytes`);
      into.fill(0, at, at + size);
      bytes.copy(into, at);
    },
    read: (from, at) => {
      const end = from.indexOf(0, at);
      return from.toString('utf8', at, end < 0 || end > at + size ? at + size : end);
    },
  };
}

type ValueOf<F> = F extends Field<infer T> ? T : never;
/** The plain object of a struct. Fields named `pad…` are written as zero and not part of it. */
export type StructValue<F> = { [K in keyof F as K extends `pad${string}` ? never : K]: ValueOf<F[K]> };

/** A whole C struct: codec and field places. */
export type Layout<T> = Field<T> & {
  name: string;
  /** C field name → [offset, size], in order; compared with the BTF of the compiled objects. */
  fields: ReadonlyMap<string, readonly [offset: number, size: number]>;
  encode(value: T): Buffer;
  decode(bytes: Buffer): T;
};

type AnyField = Field<unknown>;

/**
 * A C struct from its fields in declaration order (keys in camelCase stand for snake_case in C).
 * There is no implicit padding: every byte belongs to a named field.
 */
export function struct<F extends Record<string, unknown>>(name: string, fields: F): Layout<StructValue<F>> {
  const places = new Map<string, readonly [number, number]>();
  const live: [string, number, AnyField][] = [];
  const padding: number[] = [];
  let size = 0;
  for (const [key, field] of Object.entries(fields) as [string, AnyField][]) {
    places.set(
      key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
      [size, field.size],
    );
    if (!key.startsWith('pad')) live.push([key, size, field]);
    else for (let at = size; at < size + field.size; at++) padding.push(at);
    size += field.size;
  }
  const write = (into: Buffer, at: number, value: StructValue<F>): void => {
    for (const offset of padding) into[at + offset] = 0;
    for (const [key, offset, field] of live) field.write(into, at + offset, (value as Record<string, unknown>)[key]);
  };
  const read = (from: Buffer, at: number): StructValue<F> => {
    const value: Record<string, unknown> = {};
    for (const [key, offset, field] of live) value[key] = field.read(from, at + offset);
    return value as StructValue<F>;
  };
  return {
    name,
    size,
    fields: places,
    write,
    read,
    encode: (value) => {
      const bytes = Buffer.alloc(size);
      write(bytes, 0, value);
      return bytes;
    },
    decode: (bytes) => read(bytes, 0),
  };
}

/** A bare scalar or address as the whole of a key or value. */
export function scalar<T>(name: string, field: Field<T>): Layout<T> {
  return {
    ...field,
    name,
    fields: new Map(),
    encode: (value) => {
      const bytes = Buffer.alloc(field.size);
      field.write(bytes, 0, value);
      return bytes;
    },
    decode: (bytes) => field.read(bytes, 0),
  };
}
