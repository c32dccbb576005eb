import { pino } from 'pino';
import type { Log } from '#model/effects/log.ts';
import { WeftError } from '#model/error.ts';
import { limitedLog } from '#model/telemetry/limited-log.ts';
import { systemClock } from '#platform/clock.ts';

/** Records below the level are not written. */
export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent';

/** `text` is for people at a terminal, `json` for machines; process: the part that writes, `control` say. */
export type LogOptions = { level: LogLevel; format: 'json' | 'text'; process: string };

/** Where finished lines go; standard error unless a test looks at them. */
export type LogSink = { write(line: string): void };

/** A structured log on standard error: standard output stays free for a command's result. */
export function createLog(options: LogOptions, sink: LogSink = pino.destination({ fd: 2, sync: true })): Log {
  const destination = options.format === 'json' ? sink : { write: (line: string) => sink.write(textLine(line)) };
  return pino(
    {
      level: options.level,
      base: { process: options.process },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: errorFields },
      messageKey: 'message',
    },
    destination,
  );
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

/** `12:00:00.000 WARN  control: sentence key=value`; a line that is not a record passes as it is. */
function textLine(line: string): string {
  const record = parseRecord(line);
  if (record === null) return line;
  const { level, time, process: part, message, ...fields } = record;
  const clock = String(time).slice('2026-01-01T'.length, -1);
  const pairs = Object.entries(fields).map(([key, value]) => ` ${key}=${plain(value)}`);
  return `${clock} ${String(level).toUpperCase().padEnd(5)} ${part}: ${message}${pairs.join('')}\n`;
}

function parseRecord(line: string): Record<string, unknown> | null {
  try {
    const parsed: unknown = JSON.parse(line);
    return typeof parsed === 'object' && parsed !== null ? { ...parsed } : null;
  } catch {
    return null;
  }
}

function plain(value: unknown): string {
  if (typeof value === 'string') return /^[\w./:@+-]+$/.test(value) ? value : JSON.stringify(value);
  if (typeof value === 'object' && value !== null && 'message' in value && !('stack' in value))
    return JSON.stringify(value.message);
  return JSON.stringify(value);
}

const LEVELS: readonly LogLevel[] = ['debug', 'info', 'warn', 'error', 'silent'];
const FORMATS: readonly LogOptions['format'][] = ['text', 'json'];

/**
 * The log of a command that serves, as WEFT_LOG_LEVEL and WEFT_LOG_FORMAT want it. What clients cause is written within
 * bounds: no peer or workload fills the disk by failing often. Errors: WEFT_SETTING.
 */
export function commandLog(part: string, env: NodeJS.ProcessEnv = process.env, sink?: LogSink): Log {
  return limitedLog(createLog({ ...logSettings(env), process: part }, sink), systemClock);
}

/** Level and format of the log; exported for its test. */
export function logSettings(env: NodeJS.ProcessEnv): Omit<LogOptions, 'process'> {
  return {
    level: choose('WEFT_LOG_LEVEL', env.WEFT_LOG_LEVEL, LEVELS, 'info'),
    format: choose('WEFT_LOG_FORMAT', env.WEFT_LOG_FORMAT, FORMATS, 'text'),
  };
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
