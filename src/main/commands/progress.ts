import { clearedLine, withProgress } from '#cli/live-output.ts';
import { systemClock } from '#platform/clock.ts';

/** Does some work; a terminal behind standard error is told what, and for how long, when it takes more than a second. */
export function showProgress<T>(doing: string, work: () => Promise<T>): Promise<T> {
  const screen = { isTerminal: process.stderr.isTTY === true, write: (text: string) => void process.stderr.write(text) };
  return withProgress(doing, work, screen, systemClock);
}

/** A line of the result, while work goes on: what a terminal was told of its progress makes room for it. */
export function tellResult(line: string): void {
  if (process.stderr.isTTY === true) process.stderr.write(clearedLine);
  process.stdout.write(`${line}\n`);
}
