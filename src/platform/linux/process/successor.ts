import { spawn } from 'node:child_process';
import { WeftError } from '#model/error.ts';

/**
 * Starts this program again as it was started, with arguments `more` unless it has them, and with `env` beside the environment: a process
 * that is to go on where this one is. It outlives this one. Settles only when it has ended: error WEFT_SUCCESSOR.
 */
export function startSuccessor(more: readonly string[], env: NodeJS.ProcessEnv): Promise<never> {
  const options = process.execArgv.filter((argument) => argument !== '--');
  const own = process.argv.slice(1);
  const line = [...options, '--', ...own, ...more.filter((argument) => !own.includes(argument))];
  return new Promise((_, reject) => {
    const failed = (what: string, cause?: unknown): void =>
      reject(
        new WeftError('WEFT_SUCCESSOR', `the process that was to go on in the place of this one ${what}`, {
          cause,
          remedy: 'its log says why; this one serves on',
        }),
      );
    const child = spawn(process.execPath, line, { stdio: 'inherit', detached: true, env: { ...process.env, ...env } });
    child.once('error', (cause) => failed('cannot be started', cause));
    child.once('exit', (code, signal) => failed(`has ended (${signal ?? code})`));
    child.unref();
  });
}
