import { CommanderError } from 'commander';
import { type Actions, buildProgram, type Output } from './program.ts';
import { describeError } from './report-error.ts';

/** Exit code of a command line that could not be understood. */
const EXIT_USAGE = 2;
/** Exit code of a command that failed. */
const EXIT_FAILED = 1;

/**
 * Runs one command line (without the program's name) and resolves to the exit code of the process.
 * Never rejects: every error has been told on `output.err`, with its stack when `debug`.
 */
export async function runProgram(words: readonly string[], actions: Actions, output: Output, debug: boolean): Promise<number> {
  let code = 0;
  const program = buildProgram(actions, output, (exitCode) => {
    code = exitCode;
  });
  const asksVersion = words[0] === '--version' || words[0] === '-V';
  try {
    await program.parseAsync(asksVersion ? ['version'] : [...words], { from: 'user' });
    return code;
  } catch (error) {
    // Commander throws to end the program; what there was to say has been said.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT_USAGE;
    output.err(describeError(error, debug));
    return EXIT_FAILED;
  }
}
