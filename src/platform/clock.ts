import type { Clock } from '#model/effects/clock.ts';

/** Fixed by Node.js: longer timers fire at once instead of late. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** Wall-clock time and timers of the process; delays of any length, and none keeps the process alive. */
export const systemClock: Clock = {
  nowMs: () => Date.now(),

  after(delayMs, task) {
    const dueMs = performance.now() + delayMs;
    let timer: NodeJS.Timeout;
    const arm = () => {
      const leftMs = dueMs - performance.now();
      // Renewals of long-lived certificates lie beyond what one timer can hold.
      timer = leftMs > TIMER_MS_MAX ? setTimeout(arm, TIMER_MS_MAX) : setTimeout(task, Math.max(0, leftMs));
      timer.unref();
    };
    arm();
    return () => clearTimeout(timer);
  },

  every(periodMs, task) {
    const timer = setInterval(task, periodMs);
    timer.unref();
    return () => clearInterval(timer);
  },
};
