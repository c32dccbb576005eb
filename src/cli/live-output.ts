import type { Clock } from '#model/effects/clock.ts';
import { WeftError } from '#model/error.ts';
import { COMMAND } from '#model/settings/host.ts';

/** Where a person looks, or a file or pipe: `isTerminal` says which. */
export type Screen = { isTerminal: boolean; write(text: string): void };

/** Fixed by ECMA-48: the start of the screen, with nothing on it; the start of the line; nothing on the rest of the line. */
const CLEARED = '\u001b[H\u001b[2J';
const LINE_START = '\r';
const REST_OF_LINE_CLEARED = '\u001b[K';

/**
 * Shows what `look` tells, and again whenever it changes: on a terminal in place of what was there, else below it. `goOn`: waits
 * until it is time for the next look, and says whether there is to be one. Later failures are shown and looked past.
 * Errors: those of the first look.
 */
export async function watch(look: () => Promise<string>, screen: Screen, goOn: () => Promise<boolean>): Promise<void> {
  let shown: string | null = null;
  for (let text = await look(); ; text = await look().catch(failureText)) {
    if (text !== shown) screen.write(screen.isTerminal ? `${CLEARED}${text}` : `${shown === null ? '' : '\n'}${text}`);
    shown = text;
    if (!(await goOn())) return;
  }
}

function failureText(error: unknown): string {
  if (!(error instanceof WeftError)) throw error;
  return `weft: ${error.message} (${error.code})\n`;
}

/** Written to a terminal, it takes away what was said of progress. */
export const clearedLine = `${LINE_START}${REST_OF_LINE_CLEARED}`;

/**
 * Does some work, and says on a terminal what is being done and for how long, once it has taken a second. The line is gone when
 * the work is done. A file or a pipe gets nothing.
 */
export async function withProgress<T>(doing: string, work: () => Promise<T>, screen: Screen, clock: Clock): Promise<T> {
  if (!screen.isTerminal) return work();
  const startMs = clock.monotonicMs();
  let isShown = false;
  const stop = clock.every(COMMAND.progressMs, () => {
    const seconds = Math.round((clock.monotonicMs() - startMs) / 1_000);
    screen.write(`${LINE_START}weft: ${doing} … ${seconds} s${REST_OF_LINE_CLEARED}`);
    isShown = true;
  });
  try {
    return await work();
  } finally {
    stop();
    if (isShown) screen.write(clearedLine);
  }
}
