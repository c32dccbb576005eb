import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { isLocked, takeLock } from './lock.ts';

/** One of those that carry to their end what they had, until it ends, however it ends. */
export type FormerAgent = {
  /** How many others of the node came to that later, and live. */
  newer(): number;
  leave(): void;
};

/** Named by when each came to it: the kernel's clock is one for all processes, and goes on only. */
const NAME = /^former-\d{20}\.lock$/;

/** An agent has given its node away, and is a former one from now on. Errors: WEFT_LOCK. */
export function joinFormers(directory: string, nowNs = process.hrtime.bigint()): FormerAgent {
  const others = (): string[] => readdirSync(directory).filter((name) => NAME.test(name));
  const own = `former-${String(nowNs).padStart(20, '0')}.lock`;
  const path = join(directory, own);
  // Nobody holds that of one that was killed.
  for (const name of others()) if (!isLocked(join(directory, name))) rmSync(join(directory, name), { force: true });
  const lock = takeLock(path, String(process.pid));
  return {
    newer: () => others().filter((name) => name > own && isLocked(join(directory, name))).length,
    leave() {
      rmSync(path, { force: true });
      lock?.release();
    },
  };
}
