import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Asks until the answer is true, at most for `forMs`, in growing steps; false when it never was. For what the kernel
 * finishes a moment after the call that asked for it, and tells nobody about.
 */
export async function eventually(condition: () => Promise<boolean>, forMs: number): Promise<boolean> {
  const deadlineMs = performance.now() + forMs;
  for (let pauseMs = 1; ; pauseMs = Math.min(50, pauseMs * 2)) {
    if (await condition()) return true;
    if (performance.now() >= deadlineMs) return false;
    await sleep(pauseMs);
  }
}
