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

/** Colours a text where the reader can see colours. */
export type Paint = (colour: keyof typeof COLOURS, text: string) => string;

/** Fixed by ECMA-48: what terminals take for a colour. */
const COLOURS = { red: 31, green: 32, yellow: 33 } as const;

/** Leaves every text as it is. */
export const plainText: Paint = (_, text) => text;

/** Colours for a terminal that knows them and whose user has not said no (no-color.org); a file, a pipe and a program get none. */
export function paintFor(isTerminal: boolean, env: Readonly<Record<string, string | undefined>>): Paint {
  if (!isTerminal || (env.NO_COLOR ?? '') !== '' || env.TERM === 'dumb') return plainText;
  return (colour, text) => `\u001b[${COLOURS[colour]}m${text}\u001b[0m`;
}
