const GAP = '  ';

/** A table in plain text: columns as wide as their widest cell, no trailing blanks, every line ended. Empty without rows. */
export function formatTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  if (rows.length === 0) return '';
  const lines = [header, ...rows];
  const widths = header.map((_, column) => Math.max(...lines.map((line) => (line[column] ?? '').length)));
  return lines
    .map(
      (line) =>
        `${line
          .map((cell, column) => cell.padEnd(widths[column] ?? 0))
          .join(GAP)
          .trimEnd()}\n`,
    )
    .join('');
}

const UNITS = [
  { ms: 86_400_000, name: 'd' },
  { ms: 3_600_000, name: 'h' },
  { ms: 60_000, name: 'min' },
  { ms: 1_000, name: 's' },
] as const;

/** A length of time in its largest fitting unit, rounded down: `23 h`, `0 s`. */
export function formatDuration(lengthMs: number): string {
  const unit = UNITS.find(({ ms }) => lengthMs >= ms) ?? UNITS[3];
  return `${Math.floor(Math.max(0, lengthMs) / unit.ms)} ${unit.name}`;
}

/** A moment as seen from `nowMs`: `in 23 h`, `5 s ago`. */
export function formatMoment(momentMs: number, nowMs: number): string {
  return momentMs > nowMs ? `in ${formatDuration(momentMs - nowMs)}` : `${formatDuration(nowMs - momentMs)} ago`;
}
