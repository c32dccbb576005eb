import { fstatSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';
import type { Clock } from '#model/effects/clock.ts';
import { type Log, SharedFields, WHOLE_LINES } from '#model/effects/log.ts';
import { WeftError } from '#model/error.ts';
import { systemError } from '#model/system-error.ts';
import { limitedLog } from '#model/telemetry/limited-log.ts';
import { LOG_LEVELS, type LogLevel, SharedLogLevel } from '#model/telemetry/log-level.ts';
import { systemClock } from '#platform/clock.ts';
import { withSourcePlaces } from '#platform/program/source-stacks.ts';
import { LineBuffer, outletTo } from './line-buffer.ts';
import { LineWriter } from './line-writer.ts';
import { jsonStyle, type Level, type Style, textStyle, WHOLE_STYLE } from './log-styles.ts';
import { endTurns, turnTaking } from './log-turns.ts';

/**
 * `text` is for people at a terminal, `json` for machines; process: the part that writes, `control` say; forJournal: each line
 * begins with its priority as systemd's journal reads it.
 */
export type LogOptions = { level: LogLevel | SharedLogLevel; format: 'json' | 'text'; process: string; forJournal?: boolean };

/** Where finished lines go; standard error unless a test looks at them. The first `length` bytes are the line, lent. */
export type LogSink = { write(line: Buffer, length: number): void };

/**
 * A structured log. Each line is built once, as the bytes that are written: one that is made as an object first, turned to
 * JSON and read again costs a connection more than its whole encryption.
 */
export function createLog(options: LogOptions, sink: LogSink, clock: Clock = systemClock): Log {
  const least = typeof options.level === 'string' ? new SharedLogLevel(options.level) : options.level;
  const line = new LineWriter();
  const logWith = (style: Style, always: Uint8Array): Log => {
    const at = (level: Level) => {
      const place = LOG_LEVELS.indexOf(level);
      const priority = options.forJournal === true ? JOURNAL_PRIORITIES[level] : '';
      return (fields: object, message: string): void => {
        if (!least.writes(place)) return;
        line.begin();
        line.text(priority);
        style.begin(line, level, options.process, message);
        if (always.length > 0) line.copy(always);
        writePairs(line, fields, style);
        style.end(line, message);
        sink.write(line.bytes, line.length);
      };
    };
    return {
      debug: at('debug'),
      info: at('info'),
      warn: at('warn'),
      error: at('error'),
      child(fields) {
        if (fields === WHOLE_LINES) return logWith(WHOLE_STYLE, NOTHING);
        line.begin();
        line.copy(always);
        writePairs(line, fields, style);
        return logWith(style, line.slice(0));
      },
    };
  };
  return logWith(options.format === 'json' ? jsonStyle(clock) : textStyle(clock), NOTHING);
}

/** Not Object.entries: a pair made of an array each is most of what a line would cost. */
function writePairs(line: LineWriter, fields: object, style: Style): void {
  for (const name in fields) {
    const value = (fields as Readonly<Record<string, unknown>>)[name];
    if (typeof value === 'string' || typeof value === 'number') style.pair(line, name, value);
    else if (value instanceof SharedFields) writeShared(line, value, style);
    else if (value !== undefined) style.pair(line, name, name === 'err' ? errorFields(value) : value);
  }
}

/** The text of what is shared is kept from its second line on: the first may be the only one. */
function writeShared(line: LineWriter, shared: SharedFields, style: Style): void {
  if (shared.text !== null && shared.style === style) {
    line.copy(shared.text);
    return;
  }
  const start = line.length;
  writePairs(line, shared.fields, style);
  shared.text = shared.style === style ? line.slice(start) : null;
  shared.style = style;
}

/** Of a log that says nothing in each line. */
const NOTHING = new Uint8Array(0);

/** Fixed by POSIX. */
const STANDARD_ERROR = 2;

/** What a log tells of an error: a foreseen one has code and remedy, any other its stack. */
function errorFields(error: unknown): object {
  const expected = error instanceof WeftError ? error : systemError(error);
  if (expected !== null) {
    const { code, message, remedy } = expected;
    return { code, message, ...(remedy === undefined ? {} : { remedy }), ...causeOf(expected) };
  }
  if (error instanceof Error) return { message: error.message, stack: withSourcePlaces(error.stack ?? ''), ...causeOf(error) };
  return { message: String(error) };
}

function causeOf(error: Error): object {
  return error.cause instanceof Error ? { cause: error.cause.message } : {};
}

const FORMATS: readonly LogOptions['format'][] = ['text', 'json'];

/** The level of this process's log, which its local API changes. Threads are handed its memory. */
export const processLogLevel = new SharedLogLevel('info');

/**
 * The log of a command that serves, as WEFT_LOG_LEVEL and WEFT_LOG_FORMAT want it. What clients cause is written within
 * bounds: no peer or workload fills the disk by failing often. Errors: WEFT_SETTING.
 */
export function commandLog(
  part: string,
  env: NodeJS.ProcessEnv = process.env,
  sink?: LogSink,
  level: SharedLogLevel = startLevel(env),
  clock: Clock = systemClock,
): Log {
  const options = { ...logSettings(env), level, process: part, forJournal: isJournal(STANDARD_ERROR, env.JOURNAL_STREAM) };
  return limitedLog(createLog(options, sink ?? standardError(options), clock), clock);
}

function startLevel(env: NodeJS.ProcessEnv): SharedLogLevel {
  processLogLevel.set(logSettings(env).level);
  return processLogLevel;
}

/** Standard error, as standard output stays free for a command's result; nothing that was written is lost with the process. */
function standardError(options: LogOptions): LogSink {
  const notice = (leftOut: number): string => {
    let text = '';
    createLog(options, { write: (line, length) => (text = line.toString('utf8', 0, length)) }).warn(
      { left_out: leftOut },
      'lines of the log found no place: its reader was too slow, or its disk full',
    );
    return text;
  };
  const buffer = new LineBuffer({ outlet: turnTaking(outletTo(STANDARD_ERROR)), clock: systemClock, notice });
  process.on('exit', () => {
    if (isMainThread) endTurns();
    buffer.flush();
  });
  return buffer;
}

/** Level and format of the log; exported for its test. */
export function logSettings(env: NodeJS.ProcessEnv): { level: LogLevel; format: LogOptions['format'] } {
  return {
    level: choose('WEFT_LOG_LEVEL', env.WEFT_LOG_LEVEL, LOG_LEVELS, 'info'),
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
