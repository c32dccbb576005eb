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
