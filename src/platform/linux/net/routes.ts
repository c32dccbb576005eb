import { readFile } from 'node:fs/promises';
import type { Cancel, Clock } from '#model/effects/clock.ts';
import { toLastResort } from '#model/effects/mishaps.ts';

/** The routes of this process's network namespace as the kernel prints them; a kernel without IPv6 has one of them. */
const TABLES = ['/proc/self/net/route', '/proc/self/net/ipv6_route'];
/** Looking takes no more than this share of the time: a machine may have a hundred thousand routes. */
const SHARE = 0.01;

/**
 * Calls `changed` when the routes are not what they were at the last look; where it fails, it is called again at the next.
 * Returns how to end that.
 */
export function followRoutes(
  clock: Clock,
  periodMs: number,
  changed: () => Promise<void>,
  read = readTables,
  failed: (error: unknown) => void = toLastResort,
): Cancel {
  let known: Buffer | null = null;
  let notBeforeMs = 0;
  let isLooking = false;
  const look = async (): Promise<void> => {
    const beganMs = clock.monotonicMs();
    const now = await read();
    notBeforeMs = clock.monotonicMs() + (clock.monotonicMs() - beganMs) / SHARE;
    if (known?.equals(now) === false) await changed();
    known = now; // not before: what failed is tried again
  };
  const guarded = async (): Promise<void> => {
    if (isLooking || clock.monotonicMs() < notBeforeMs) return;
    isLooking = true;
    await look().finally(() => {
      isLooking = false;
    });
  };
  guarded().catch(failed);
  return clock.every(periodMs, () => {
    guarded().catch(failed);
  });
}

async function readTables(): Promise<Buffer> {
  return Buffer.concat(await Promise.all(TABLES.map((path) => readFile(path).catch(() => Buffer.alloc(0)))));
}
