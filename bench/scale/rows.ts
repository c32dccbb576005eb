import type { Usage } from './control.ts';

/** One figure, and what it may be at most; null: told, and bound to nothing yet. Ids never change. */
export type ScaleRow = { id: string; value: number; unit: 'ms' | 's' | 'MiB' | 'KiB' | '%' | '×' | '/s'; bound: number | null };

/** What one step cost, from the usage before and after it. */
export function costOf(before: Usage, after: Usage): { cpuMs: number; grownMib: number; stallMs: number; turnMs: number } {
  const { stallMs, turnMs } = after;
  return { cpuMs: after.cpuMs - before.cpuMs, grownMib: after.rssMib - before.rssMib, stallMs, turnMs };
}

/** The value that `share` of the values do not exceed. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN;
}

/** A table for people. */
export function renderScale(rows: readonly ScaleRow[]): string {
  const lines = rows.map(({ id, value, unit, bound }) => {
    const verdict = bound === null ? '' : ` ${value <= bound ? 'within' : 'OVER'} ${bound} ${unit}`;
    return `${id.padEnd(30)} ${value.toFixed(value < 10 ? 1 : 0).padStart(8)} ${unit.padEnd(3)}${verdict}`;
  });
  return `${lines.join('\n')}\n`;
}
