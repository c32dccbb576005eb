import { existsSync, readdirSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { WeftError } from '#model/error.ts';
import { isRunning } from '#platform/linux/process/processes.ts';
import { isLocked, lockText, takeLock } from './lock.ts';
import { makeDirectory } from './make-directory.ts';

/** Below the directory of a node: a file for each `weft run`, which holds its lock. */
const FOLDER = 'runs';
/** Of a lock that somebody merely looks at. */
const TRIES = 1_000;

/** Whom a `weft run` runs, and how it is told. */
export type RunOwner = { pid: number; namespace: string; name: string; serviceAccount: string };

/** The name of a workload, held by one `weft run` from its start to its end, also while its command does not run. */
export type RunClaim = {
  /** False once somebody took it away: the command is not to be started again. */
  isWanted(): boolean;
  release(): void;
};

/** Errors: WEFT_WORKLOAD_EXISTS while another `weft run` holds it, WEFT_LOCK. */
export function claimRun(nodeDir: string, owner: RunOwner): RunClaim {
  const path = pathOf(nodeDir, owner);
  // No agent works there: whoever asks it next says so.
  if (!existsSync(nodeDir)) return { isWanted: () => true, release() {} };
  makeDirectory(dirname(path));
  let lock = takeLock(path, JSON.stringify(owner));
  // Whoever looks whether it is held holds it for that moment.
  for (let tries = 0; lock === null && tries < TRIES && !isRunning(ownerOf(path)?.pid ?? -1); tries++)
    lock = takeLock(path, JSON.stringify(owner));
  if (lock === null) {
    throw new WeftError(
      'WEFT_WORKLOAD_EXISTS',
      `workload ${owner.namespace}/${owner.name} is run on this node already, by the weft run with pid ${ownerOf(path)?.pid ?? '?'}`,
      { remedy: 'choose another --name, or end it first with weft stop' },
    );
  }
  const { ino } = statSync(path);
  const isWanted = (): boolean => statSync(path, { throwIfNoEntry: false })?.ino === ino;
  return {
    isWanted,
    release() {
      if (isWanted()) rmSync(path, { force: true });
      lock.release();
    },
  };
}

/** Every `weft run` of a node that lives. */
export function liveRuns(nodeDir: string): RunOwner[] {
  const folder = join(nodeDir, FOLDER);
  const names = existsSync(folder) ? readdirSync(folder) : [];
  return names.flatMap((name) => {
    const path = join(folder, name);
    const owner = isLocked(path) ? ownerOf(path) : null;
    return owner === null ? [] : [owner];
  });
}

/** Takes a name away from the `weft run` that holds it: that one ends with its command. */
export function disown(nodeDir: string, key: Pick<RunOwner, 'namespace' | 'name'>): void {
  rmSync(pathOf(nodeDir, key), { force: true });
}

function pathOf(nodeDir: string, { namespace, name }: Pick<RunOwner, 'namespace' | 'name'>): string {
  return join(nodeDir, FOLDER, `${namespace}.${name}`);
}

/** Null while it is being written. */
function ownerOf(path: string): RunOwner | null {
  try {
    return JSON.parse(lockText(path)) as RunOwner; // a file of our own
  } catch {
    return null;
  }
}
