import { isTest, type SourceFile, withoutComments } from './source-files.ts';

/** Where what has failed is tried again. */
const HOME = 'src/model/resilience/retry.ts';

/** Timers that look like a retry: what is waited for is called a wait after a failure. */
const WAITS = /\bafter\(\s*([^,;{}]*\b\w*(?:retry|backoff|again|restart|delay)\w*[^,;{}]*),/gi;
/** A wait that doubles is computed at home alone. */
const DOUBLES = /\b\w*(?:Ms|delay|wait|backoff)\w*\s*(?:\*\s*2\s*\*\*|\*=\s*2\b|\*\s*2\b)/gi;

/**
 * Why a timer that looks like one is no retry of its own making. One line each: file, the wait as written, and the reason.
 */
const OTHERS: readonly { path: string; wait: string; why: string }[] = [
  { path: 'src/model/effects/mishaps.ts', wait: 'delayMs', why: 'it passes timers on' },
  { path: 'src/model/effects/clock.ts', wait: 'delayMs: number', why: 'the clock itself' },
  { path: 'src/platform/clock.ts', wait: 'delayMs', why: 'the clock itself' },
  { path: 'src/waypoint/stages/fault/fault.ts', wait: 'injected.delayMs', why: 'a delay that was asked for, once' },
  {
    path: 'src/platform/io/core/listener.ts',
    wait: 'IO.acceptRetryMs',
    why: 'one timer by one listener, which hears nothing meanwhile',
  },
  {
    path: 'src/protocol/ca/certificate-cache.ts',
    wait: 'delayMs',
    why: 'backoffMs, cut short by the end of the certificate; one timer an entry',
  },
  { path: 'src/protocol/ca/certificate-cache.ts', wait: 'renewalDelayMs(credentials', why: 'after a success' },
  {
    path: 'src/control-plane/ca/server-certificate.ts',
    wait: 'delayMs',
    why: 'backoffMs, or the time of the next renewal; one timer',
  },
  {
    path: 'src/control-plane/waypoints/waypoint-controller.ts',
    wait: 'delayMs',
    why: 'backoffMs of one waypoint; looks never overlap',
  },
  { path: 'src/platform/supervisor/keeper.ts', wait: 'after.delayMs', why: 'backoffMs of one process, awaited' },
  {
    path: 'src/platform/linux/process/waiting.ts',
    wait: 'pauseMs * 2',
    why: 'looks for the end of a process, within a deadline',
  },
  { path: 'src/platform/files/watch-directory.ts', wait: 'Math.max(0', why: 'waits for more changes, not after a failure' },
];

/** Retry loops that are not those of Retry: they would lack the one timer, the cap or the spread. */
export function retryViolations(files: readonly SourceFile[]): string[] {
  const found: string[] = [];
  for (const { path, text } of files) {
    if (isTest(path) || path.includes('.testing.') || path === HOME) continue;
    const code = withoutComments(text);
    for (const [, wait = ''] of code.matchAll(WAITS)) {
      const isKnown = OTHERS.some((one) => one.path === path && wait.trim() === one.wait);
      if (!isKnown) found.push(`${path} waits ${wait.trim()} by itself: use Retry of ${HOME}`);
    }
    for (const [hit] of code.matchAll(DOUBLES))
      if (!OTHERS.some((one) => one.path === path && one.wait === hit))
        found.push(`${path} doubles (${hit}): use backoffMs of ${HOME}`);
  }
  return found;
}
