import type { Log } from '#model/effects/log.ts';
import { WeftError } from '#model/error.ts';
import { createLog, type LogLevel, type LogOptions } from './log.ts';

const LEVELS: readonly LogLevel[] = ['debug', 'info', 'warn', 'error', 'silent'];
const FORMATS: readonly LogOptions['format'][] = ['text', 'json'];

/** The log of a command that serves, as WEFT_LOG_LEVEL and WEFT_LOG_FORMAT want it. Errors: WEFT_SETTING. */
export function commandLog(part: string, env: NodeJS.ProcessEnv = process.env): Log {
  return createLog({ ...logSettings(env), process: part });
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
