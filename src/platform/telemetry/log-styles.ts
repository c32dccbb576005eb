import type { Clock } from '#model/effects/clock.ts';
import { TELEMETRY } from '#model/settings/telemetry.ts';
import type { LogLevel } from '#model/telemetry/log-level.ts';
import type { LineWriter } from './line-writer.ts';

/** The levels that a line can have. */
export type Level = Exclude<LogLevel, 'silent'>;

/** How lines are built: `begin`, then each pair, then `end`. */
export type Style = {
  begin(line: LineWriter, level: Level, process: string, message: string): void;
  pair(line: LineWriter, name: string, value: unknown): void;
  end(line: LineWriter, message: string): void;
};

/** `12:00:00.000 WARN  control: sentence key=value`. */
export function textStyle(clock: Clock): Style {
  const timeOf = timeTexts(clock, (iso) => iso.slice('2026-01-01T'.length, -1));
  return {
    begin(line, level, process, message) {
      line.text(timeOf());
      line.text(LABELS[level]);
      line.text(process);
      line.text(': ');
      line.text(message);
    },
    pair(line, name, value) {
      line.text(' ');
      line.text(name);
      line.text('=');
      writePlain(line, cut(value));
    },
    end: (line) => line.text('\n'),
  };
}

/** One JSON object: level, time, process, the fields, the sentence. */
export function jsonStyle(clock: Clock): Style {
  const timeOf = timeTexts(clock, (iso) => iso);
  return {
    begin(line, level, process) {
      line.text('{"level":"');
      line.text(level);
      line.text('","time":"');
      line.text(timeOf());
      line.text('","process":');
      line.json(process);
    },
    pair(line, name, value) {
      line.text(',');
      line.json(name);
      line.text(':');
      writeJson(line, cut(value));
    },
    end(line, message) {
      line.text(',"message":');
      line.json(message);
      line.text('}\n');
    },
  };
}

/** The field `line` alone, for those who ask for `WHOLE_LINES`. */
export const WHOLE_STYLE: Style = {
  begin() {},
  pair(line, name, value) {
    if (name === 'line') line.text(String(value));
  },
  end: (line) => line.text('\n'),
};

const LABELS: Readonly<Record<Level, string>> = {
  debug: ' DEBUG ',
  info: ' INFO  ',
  warn: ' WARN  ',
  error: ' ERROR ',
};

/** The present time as text, made once for all lines of a millisecond. */
function timeTexts(clock: Clock, shown: (iso: string) => string): () => string {
  let ms = Number.NaN;
  let text = '';
  return () => {
    const now = clock.nowMs();
    if (now !== ms) {
      ms = now;
      text = shown(new Date(now).toISOString());
    }
    return text;
  };
}

/** A text of a length that a log can bear: clients choose paths and names. */
function cut(value: unknown): unknown {
  if (typeof value !== 'string' || value.length <= TELEMETRY.logValueCharsMax) return value;
  return `${value.slice(0, TELEMETRY.logValueCharsMax)}…`;
}

function writeJson(line: LineWriter, value: unknown): void {
  if (typeof value === 'string') line.json(value);
  else if (typeof value === 'number') line.number(value);
  else line.text(jsonText(value));
}

/** A value as JSON. What JSON cannot hold is told as text: a log must never throw. */
function jsonText(value: unknown): string {
  try {
    return JSON.stringify(value) ?? 'null';
  } catch {
    return JSON.stringify(String(value));
  }
}

function writePlain(line: LineWriter, value: unknown): void {
  if (typeof value === 'string') line.plain(value);
  else if (typeof value === 'number') line.number(value);
  else if (typeof value === 'object' && value !== null && 'message' in value && !('stack' in value))
    line.text(jsonText(cut(value.message)));
  else line.text(jsonText(value));
}
