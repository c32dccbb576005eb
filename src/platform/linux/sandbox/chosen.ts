import { readFileSync, readlinkSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { WeftError } from '#model/error.ts';
import { chosenVariables, readVariables, type Variable } from '#model/launch/environment.ts';
import { COMMAND } from '#model/settings/host.ts';
import { DESCRIPTORS_MAX } from './confined.ts';

/** What was chosen for a command, as it was written. */
export type Wishes = { env: readonly Variable[]; envFiles: readonly string[]; workdir: string | null; preserveFds: number };

/** The same, as a command is started with it. `missing`: variables that were to be passed on, and are not there. */
export type Chosen = {
  cwd: string;
  chosen: Readonly<Record<string, string>>;
  missing: readonly string[];
  descriptors: readonly number[];
};

const FIRST = 3;
/** Fixed by Linux. */
const OWN = 'anon_inode:[eventpoll]';

/**
 * Reads what was chosen for a command, with this process's own environment, directory and descriptors. Descriptors that a service manager gave this process (LISTEN_FDS) are the command's.
 * Errors: WEFT_ENV_FILE, WEFT_DESCRIPTOR.
 */
export function readChosen(
  { env, envFiles, workdir, preserveFds }: Wishes,
  listener = process.pid,
  environment: NodeJS.ProcessEnv = process.env,
): Chosen {
  const listening = environment.LISTEN_PID === String(listener) ? Number(environment.LISTEN_FDS) || 0 : 0;
  const count = Math.max(preserveFds, listening);
  if (count > DESCRIPTORS_MAX)
    throw new WeftError('WEFT_DESCRIPTOR', `${count} descriptors are to be handed on, and ${DESCRIPTORS_MAX} can be`, {
      remedy: 'give it fewer sockets',
    });
  const descriptors = Array.from({ length: count }, (_, at) => FIRST + at);
  for (const descriptor of descriptors) requireHanded(descriptor);
  const variables = [...envFiles.flatMap(variablesIn), ...env];
  const { set: chosen, missing } = chosenVariables(variables, environment);
  return { cwd: workdir === null ? process.cwd() : resolve(workdir), chosen, missing, descriptors };
}

function variablesIn(path: string): readonly Variable[] {
  let text: string;
  try {
    // A device or a pipe has no size and perhaps no end.
    const found = statSync(path);
    if (!found.isFile() || found.size > COMMAND.envFileBytesMax)
      throw new Error(`it is no file of at most ${COMMAND.envFileBytesMax} bytes`);
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    throw new WeftError('WEFT_ENV_FILE', `cannot read the variables in ${path}`, { cause, remedy: 'name a file that is there' });
  }
  const read = readVariables(text);
  if ('variables' in read) return read.variables;
  throw new WeftError('WEFT_ENV_FILE', `line ${read.badLine} of ${path} is no variable`, {
    remedy: 'write NAME=VALUE, or NAME to pass on one of yours; a comment begins with #',
  });
}

/**
 * Node.js marks what it was given as what it opens itself, and its first own descriptor, an epoll, has the lowest number that was
 * free: so the first of those that are missing is one.
 */
function requireHanded(descriptor: number): void {
  let target = OWN;
  try {
    target = readlinkSync(`/proc/self/fd/${descriptor}`);
  } catch {
    // there is none of this number
  }
  if (target !== OWN) return;
  throw new WeftError('WEFT_DESCRIPTOR', `descriptor ${descriptor} is to be handed on, and nobody gave this process one`, {
    remedy: 'open it for weft run, as in weft run --preserve-fds 1 … 3<file',
  });
}
