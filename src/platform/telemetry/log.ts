import { fstatSync } from 'node:fs';
import type { Clock } from '#model/effects/clock.ts';
import type { Log } from '#model/effects/log.ts';
import { WeftError } from '#model/error.ts';
import { TELEMETRY } from '#model/settings/telemetry.ts';
import { limitedLog } from '#model/telemetry/limited-log.ts';
import { ACCESS_FIELDS, LOG_FIELDS } from '#model/telemetry/log-fields.ts';
import { systemClock } from '#platform/clock.ts';
import { LineBuffer, outletTo } from './line-buffer.ts';

/** Records below the level are not written. */
export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent';

/**
 * `text` is for people at a terminal, `json` for machines; process: the part that writes, `control` say; forJournal: each line
 * begins with its priority as systemd's journal reads it.
 */
export type LogOptions = { level: LogLevel; format: 'json' | 'text'; process: string; forJournal?: boolean };

/** Where finished lines go; standard error unless a test looks at them. */
export type LogSink = { write(line: string): void };

type Level = Exclude<LogLevel, 'silent'>;

/** How lines are built: `begin`, then each pair, then `end`. */
type Style = {
  begin(level: Level, process: string, message: string): string;
  pair(name: string, value: unknown): string;
  end(message: string): string;
};

/**
 * A structured log. Each line is built once, as the text that is written: one that is made as an object first, turned to
 * JSON and read again costs a connection more than its whole encryption.
 */
export function createLog(options: LogOptions, sink: LogSink, clock: Clock = systemClock): Log {
  const style = options.format === 'json' ? jsonStyle(clock) : textStyle(clock);
  const least = LEVELS.indexOf(options.level);
  const logWith = (always: string): Log => {
    const at = (level: Level) => {
      if (LEVELS.indexOf(level) < least) return () => {};
      const priority = options.forJournal === true ? JOURNAL_PRIORITIES[level] : '';
      return (fields: object, message: string): void =>
        sink.write(
          priority + style.begin(level, options.process, message) + always + pairsOf(fields, style) + style.end(message),
        );
    };
    return {
      debug: at('debug'),
      info: at('info'),
      warn: at('warn'),
      error: at('error'),
      child: (fields) => logWith(always + pairsOf(fields, style)),
    };
  };
  return logWith('');
}

function pairsOf(fields: object, style: Style): string {
  let text = '';
  // Not Object.entries: a pair made of an array each is most of what a line would cost.
  for (const name in fields) {
    const value = (fields as Readonly<Record<string, unknown>>)[name];
    if (value !== undefined) text += style.pair(name, name === 'err' ? errorFields(value) : value);
  }
  return text;
}

/** `12:00:00.000 WARN  control: sentence key=value`. */
function textStyle(clock: Clock): Style {
  const timeOf = timeTexts(clock);
  return {
    begin: (level, process, message) => `${timeOf().slice('2026-01-01T'.length, -1)} ${LABELS[level]} ${process}: ${message}`,
    pair: (name, value) => ` ${name}=${plain(cut(value))}`,
    end: () => '\n',
  };
}

/** One JSON object: level, time, process, the fields, the sentence. */
function jsonStyle(clock: Clock): Style {
  const timeOf = timeTexts(clock);
  return {
    begin: (level, process) => `{"level":"${level}","time":"${timeOf()}","process":${JSON.stringify(process)}`,
    pair: (name, value) => `,${JSON_NAMES.get(name) ?? `${JSON.stringify(name)}:`}${jsonText(cut(value))}`,
    end: (message) => `,"message":${JSON.stringify(message)}}\n`,
  };
}

/** Fixed by POSIX. */
const STANDARD_ERROR = 2;

const LABELS: Readonly<Record<Level, string>> = { debug: 'DEBUG', info: 'INFO ', warn: 'WARN ', error: 'ERROR' };

/** The names of all fields as JSON begins them. */
const JSON_NAMES: ReadonlyMap<string, string> = new Map(
  [...Object.keys(ACCESS_FIELDS), ...Object.keys(LOG_FIELDS)].map((name) => [name, `${JSON.stringify(name)}:`]),
);

/** The present time as text, made once for all lines of a millisecond. */
function timeTexts(clock: Clock): () => string {
  let ms = Number.NaN;
  let text = '';
  return () => {
    const now = clock.nowMs();
    if (now !== ms) {
      ms = now;
      text = new Date(now).toISOString();
    }
    return text;
  };
}

/** A text of a length that a log can bear: clients choose paths and names. */
function cut(value: unknown): unknown {
  if (typeof value !== 'string' || value.length <= TELEMETRY.logValueCharsMax) return value;
  return `${value.slice(0, TELEMETRY.logValueCharsMax)}…`;
}

/** A value as JSON. What JSON cannot hold is told as text: a log must never throw. */
function jsonText(value: unknown): string {
  try {
    return JSON.stringify(value) ?? 'null';
  } catch {
    return JSON.stringify(String(value));
  }
}

/** What a log tells of an error: a foreseen one has code and remedy, any other its stack. */
function errorFields(error: unknown): object {
  if (error instanceof WeftError) {
    const { code, message, remedy } = error;
    return { code, message, ...(remedy === undefined ? {} : { remedy }), ...causeOf(error) };
  }
  if (error instanceof Error) return { message: error.message, stack: error.stack, ...causeOf(error) };
  return { message: String(error) };
}

function causeOf(error: Error): object {
  return error.cause instanceof Error ? { cause: error.cause.message } : {};
}

function plain(value: unknown): string {
  if (typeof value === 'string') return /^[\w./:@+-]+$/.test(value) ? value : JSON.stringify(value);
  if (typeof value === 'number') return Number.isFinite(value) ? String(value) : 'null';
  if (typeof value === 'object' && value !== null && 'message' in value && !('stack' in value))
    return JSON.stringify(cut(value.message));
  return jsonText(value);
}

const LEVELS: readonly LogLevel[] = ['debug', 'info', 'warn', 'error', 'silent'];
const FORMATS: readonly LogOptions['format'][] = ['text', 'json'];

/**
 * The log of a command that serves, as WEFT_LOG_LEVEL and WEFT_LOG_FORMAT want it. What clients cause is written within
 * bounds: no peer or workload fills the disk by failing often. Errors: WEFT_SETTING.
 */
export function commandLog(part: string, env: NodeJS.ProcessEnv = process.env, sink?: LogSink): Log {
  const options = { ...logSettings(env), process: part, forJournal: isJournal(STANDARD_ERROR, env.JOURNAL_STREAM) };
  return limitedLog(createLog(options, sink ?? standardError(options)), systemClock);
}

/** Standard error, as standard output stays free for a command's result; nothing that was written is lost with the process. */
function standardError(options: LogOptions): LogSink {
  const notice = (leftOut: number): string => {
    let line = '';
    createLog(options, { write: (text) => (line = text) }).warn(
      { left_out: leftOut },
      'the reader of the log is too slow for it',
    );
    return line;
  };
  const buffer = new LineBuffer({ outlet: outletTo(STANDARD_ERROR), clock: systemClock, notice });
  process.on('exit', () => buffer.flush());
  return buffer;
}

/** Level and format of the log; exported for its test. */
export function logSettings(env: NodeJS.ProcessEnv): Omit<LogOptions, 'process'> {
  return {
    level: choose('WEFT_LOG_LEVEL', env.WEFT_LOG_LEVEL, LEVELS, 'info'),
    format: choose('WEFT_LOG_FORMAT', env.WEFT_LOG_FORMAT, FORMATS, 'text'),
  };
}

/** What stands before a line that systemd's journal is to file under this level. Fixed by sd-daemon(3), with the numbers of syslog(3). */
const JOURNAL_PRIORITIES = {
  // 0 to 2 are for a machine that is about to fail, which no part of a mesh can tell.
  error: '<3>',
  warn: '<4>',
  // 5 is a notice, which our log does not tell from information.
  info: '<6>',
  debug: '<7>',
} as const;

/**
 * Whether what is written to a descriptor goes to systemd's journal: the variable names the very stream, so that a program whose
 * output was sent elsewhere does not take itself for one of the journal's. Source: systemd.exec(5).
 */
export function isJournal(descriptor: number, stream: string | undefined): boolean {
  if (stream === undefined) return false;
  try {
    const { dev, ino } = fstatSync(descriptor, { bigint: true });
    return stream === `${dev}:${ino}`;
  } catch {
    return false; // a descriptor that is closed
  }
}

function choose<Choice extends string>(
  name: string,
  text: string | undefined,
  choices: readonly Choice[],
  fallback: Choice,
): Choice {
  if (text === undefined || text === '') return fallback;
  const chosen = choices.find((choice) => choice === text);
  if (chosen !== undefined) return chosen;
  throw new WeftError('WEFT_SETTING', `the environment variable ${name} is "${text}"`, {
    remedy: `write one of: ${choices.join(', ')}`,
  });
}
