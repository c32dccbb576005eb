import { readLogLine } from './log-line.ts';

/** A line of a log, or a piece of one. `time` null: it does not say; `atMs` null: nor can it be known. */
export type DatedLine = {
  time: string | null;
  atMs: number | null;
  stream: 'stdout' | 'stderr';
  isWhole: boolean;
  text: string;
};

/** Fixed by the calendar. */
const DAY_MS = 86_400_000;

/**
 * Reads lines of a log: of a workload, or of a part of the mesh, whose text has the time of day alone (UTC) and whose JSON has all
 * of it. The days are counted back from when the file was changed last: a time of day that is later than that of the next line is of
 * the day before. A line that has none is as old as the one before it.
 */
export function dateLines(lines: readonly string[], changedMs: number): DatedLine[] {
  const found = lines.map((line): DatedLine => {
    const piece = readLogLine(line);
    if (piece !== null) return { ...piece, atMs: Date.parse(piece.time) };
    const [, json] = /^\{.{0,40}"time":"([^"]{20,30})"/.exec(line) ?? [];
    return {
      time: json ?? null,
      atMs: json === undefined ? null : Date.parse(json),
      stream: 'stderr',
      isWhole: true,
      text: line,
    };
  });
  let laterMs = changedMs;
  for (const line of found.toReversed()) {
    const ofDay = line.atMs === null ? timeOfDay(line.text) : null;
    if (ofDay !== null) {
      const midnight = Math.floor(laterMs / DAY_MS) * DAY_MS;
      line.atMs = midnight + ofDay <= laterMs ? midnight + ofDay : midnight + ofDay - DAY_MS;
    }
    laterMs = line.atMs ?? laterMs;
  }
  let formerMs: number | null = null;
  for (const line of found) {
    line.atMs ??= formerMs;
    formerMs = line.atMs;
  }
  return found;
}

/** Milliseconds since midnight; null for a line without. */
function timeOfDay(line: string): number | null {
  const [whole, hours, minutes, seconds, millis] = /^(\d\d):(\d\d):(\d\d)\.(\d{3}) /.exec(line) ?? [];
  if (whole === undefined) return null;
  return ((Number(hours) * 60 + Number(minutes)) * 60 + Number(seconds)) * 1_000 + Number(millis);
}
