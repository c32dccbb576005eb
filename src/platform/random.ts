import { randomFillSync } from 'node:crypto';
import type { Random } from '#model/effects/clock.ts';
import { HOST } from '#model/settings/host.ts';

/** Chance for jitter and balancing; never for secrets. */
export const systemRandom: Random = () => Math.random();

/** From the system's generator, many at a time: each byte is given out once, and what was is erased here. */
export function pooledRandomBytes(fill: (into: Buffer) => unknown = randomFillSync): (count: number) => Uint8Array {
  const pool = Buffer.allocUnsafeSlow(HOST.randomPoolBytes);
  let at = pool.length;
  return (count) => {
    if (count > pool.length) {
      const bytes = Buffer.allocUnsafeSlow(count);
      fill(bytes);
      return bytes;
    }
    if (at + count > pool.length) {
      fill(pool);
      at = 0;
    }
    const bytes = Buffer.from(pool.subarray(at, at + count));
    pool.fill(0, at, at + count);
    at += count;
    return bytes;
  };
}

/** Fixed by RFC 9562: 16 bytes, shown as 36 characters with dashes before these bytes. */
const UUID_BYTES = 16;
const UUID_CHARS = 36;
const DASH = 0x2d;
const HEX_DIGITS = Buffer.from('0123456789abcdef');

/** Version 4 UUIDs, many at a time: one of its own from the system costs a request as much as reading its head. */
export function pooledUuids(fill: (into: Buffer) => unknown = randomFillSync): () => string {
  const pool = Buffer.allocUnsafeSlow(HOST.randomPoolBytes);
  const text = Buffer.allocUnsafeSlow(UUID_CHARS);
  let next = pool.length;
  return () => {
    if (next + UUID_BYTES > pool.length) {
      fill(pool);
      next = 0;
    }
    let to = 0;
    for (let at = 0; at < UUID_BYTES; at++) {
      const byte = versioned(pool[next + at] ?? 0, at);
      if (at === 4 || at === 6 || at === 8 || at === 10) text[to++] = DASH;
      text[to++] = HEX_DIGITS[byte >> 4] ?? 0;
      text[to++] = HEX_DIGITS[byte & 0xf] ?? 0;
    }
    next += UUID_BYTES;
    return text.toString('latin1');
  };
}

/** The version stands in the seventh byte, the variant in the ninth. */
function versioned(byte: number, at: number): number {
  if (at === 6) return 0x40 | (byte & 0x0f);
  return at === 8 ? 0x80 | (byte & 0x3f) : byte;
}
