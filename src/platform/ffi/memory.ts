import koffi from 'koffi';
import { WeftError } from '#model/error.ts';

const libc = koffi.load('libc.so.6');
/** memcpy(3) of nothing returns where its first argument lies. */
const addressOf: (buffer: Buffer, same: Buffer, bytes: number) => number = libc.func(
  'uint64_t memcpy(void *to, const void *from, size_t bytes)',
);

/** Where memory lies. */
export type Place = { readonly buffer: Buffer; readonly address: number };

let place = (bytes: number): Place => {
  const buffer = Buffer.allocUnsafeSlow(bytes);
  return { buffer, address: addressOf(buffer, buffer, 0) };
};
let isGuarded = false;

/** For tests: from now on memory is made by `make`, and what is lent to a call for its time is copied there. */
export function placeMemory(make: (bytes: number) => Place): void {
  place = make;
  isGuarded = true;
}

/** Bytes `start` to `end` of a buffer, for a call that keeps no address of them. Errors: WEFT_FFI when they are not all inside. */
export function lent(buffer: Buffer, start: number, end: number): Buffer {
  if (start < 0 || end < start || end > buffer.length) throw outside(start, end - start, buffer.length);
  if (!isGuarded || start === end) return start === 0 && end === buffer.length ? buffer : buffer.subarray(start, end);
  const copy = place(end - start).buffer;
  buffer.copy(copy, 0, start, end);
  return copy;
}

/**
 * Memory that foreign functions read and write. It never moves and lives as long as this object: whoever hands its address
 * on has to keep it. `at` is the only way to an address, and checks that what is meant lies inside.
 */
export class Memory {
  readonly buffer: Buffer;
  readonly #address: number;

  /** `bytes`: at least 1. */
  constructor(bytes: number) {
    const { buffer, address } = place(bytes);
    this.buffer = buffer;
    this.#address = address;
  }

  get length(): number {
    return this.buffer.length;
  }

  /** The address of `bytes` bytes from `offset` on. Errors: WEFT_FFI when they are not all inside. */
  at(offset: number, bytes: number): number {
    if (offset < 0 || bytes < 0 || offset + bytes > this.buffer.length) throw outside(offset, bytes, this.buffer.length);
    return this.#address + offset;
  }
}

/** Memory of somebody else's, good until its owner is asked for something else: to be handed on or copied at once. */
export class LentMemory {
  #address = 0;
  #bytes = 0;

  /** `address`, `bytes`: its owner's own word. */
  lend(address: number, bytes: number): void {
    this.#address = address;
    this.#bytes = bytes;
  }

  /** As `Memory.at`. */
  at(offset: number, bytes: number): number {
    if (offset < 0 || bytes < 0 || offset + bytes > this.#bytes) throw outside(offset, bytes, this.#bytes);
    return this.#address + offset;
  }

  /** A copy of so many bytes from `offset` on. */
  copy(offset: number, bytes: number): Buffer {
    const { buffer, address } = place(bytes);
    copyFrom(address, this.at(offset, bytes), bytes);
    return buffer;
  }
}

const copyFrom: (to: number, from: bigint | number, bytes: number) => unknown = libc.func(
  'void *memcpy(uintptr_t to, uintptr_t from, size_t bytes)',
);

/** Copies what a foreign function pointed at, right after its call: the address must be OpenSSL's or the kernel's own word. */
export function copyOut(address: bigint, bytes: number, into: Memory): Buffer {
  copyFrom(into.at(0, bytes), address, bytes);
  return into.buffer.subarray(0, bytes);
}

/** A call that would have left its buffer. */
function outside(offset: number, bytes: number, length: number): WeftError {
  return new WeftError('WEFT_FFI', `${bytes} bytes at ${offset} do not lie in a buffer of ${length}`, {
    remedy: 'report this as a bug: the call was not made',
  });
}
