import { mkdir, readdir, readFile, rmdir, statfs, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { WeftError } from '#model/error.ts';
import { HOST } from '#model/settings/host.ts';
import { eventually } from '#platform/linux/process/waiting.ts';

const CGROUP2_MAGIC = 0x63677270;

/** Where cgroup v2 is mounted (also `/sys/fs/cgroup/unified` beside v1). Errors: WEFT_CGROUP2 when it is not. */
export async function findCgroup2(): Promise<string> {
  const mountPoint = cgroup2MountIn(await readFile('/proc/self/mountinfo', 'utf8'));
  if (mountPoint !== null) return mountPoint;
  throw new WeftError('WEFT_CGROUP2', 'cgroup v2 is not mounted', {
    remedy:
      'boot with systemd.unified_cgroup_hierarchy=1, or mount it (mount -t cgroup2 none /sys/fs/cgroup/unified); ' +
      'if this was started by "ip netns exec", which hides the mounts below /sys, use "nsenter --net=/run/netns/NAME" instead',
  });
}

/** The mount point in the text of a mountinfo file; a mount of the whole hierarchy before one of a part. Source: proc(5). */
export function cgroup2MountIn(mountinfo: string): string | null {
  const mounts = mountinfo.split('\n').flatMap((line) => {
    const [before = '', after = ''] = line.split(' - ');
    const [, , , root = '', mountPoint = ''] = before.split(' ');
    return after.startsWith('cgroup2 ') ? [{ root, mountPoint: unescaped(mountPoint) }] : [];
  });
  return (mounts.find(({ root }) => root === '/') ?? mounts[0])?.mountPoint ?? null;
}

/** Makes a cgroup and its missing parents; gives those it made, outermost first. Errors: WEFT_SANDBOX_CGROUP outside cgroup v2. */
export async function createNodeCgroup(path: string): Promise<readonly string[]> {
  const missing = await missingCgroups(path);
  for (const folder of missing) await makeCgroup(folder);
  return missing;
}

/** What `createNodeCgroup` would make. Errors: WEFT_SANDBOX_CGROUP. */
export async function missingCgroups(path: string): Promise<readonly string[]> {
  const missing: string[] = [];
  let existing = path;
  while (!(await exists(existing))) {
    missing.unshift(existing);
    existing = dirname(existing);
  }
  if (!(await isCgroup2(existing))) throw notCgroup2(path);
  return missing;
}

/** Whether a process lives in the cgroup or below; false when there is no such cgroup. */
export async function isPopulated(path: string): Promise<boolean> {
  const events = await readIfThere(join(path, 'cgroup.events'));
  return /^populated 1$/m.test(events ?? '');
}

/** Whether it stays populated for longer than the kernel needs to forget a process that just ended. */
export async function staysPopulated(path: string): Promise<boolean> {
  return !(await eventually(async () => !(await isPopulated(path)), HOST.cgroupSettleMs));
}

/** The processes of the cgroup and of those below it, as far as this process may know their ids. */
export async function processesIn(path: string): Promise<readonly number[]> {
  const own = ((await readIfThere(join(path, 'cgroup.procs'))) ?? '')
    .split('\n')
    .map(Number)
    .filter((pid) => pid > 0);
  const below = await Promise.all((await childrenOf(path)).map(processesIn));
  return [...own, ...below.flat()];
}

/**
 * Stops every process of the cgroup and below, and whoever joins it later, until it is thawed; does nothing without such a
 * cgroup. False when some still ran after the settling time, as one that waits in the kernel does.
 */
export async function freezeCgroup(path: string): Promise<boolean> {
  if (!(await writeControl(path, 'cgroup.freeze', '1'))) return true;
  return eventually(
    async () => /^frozen 1$/m.test((await readIfThere(join(path, 'cgroup.events'))) ?? 'frozen 1'),
    HOST.cgroupSettleMs,
  );
}

/** Lets the processes of a cgroup run again; does nothing without such a cgroup. */
export async function thawCgroup(path: string): Promise<void> {
  await writeControl(path, 'cgroup.freeze', '0');
}

/**
 * Asks every process in the cgroup and below to end (SIGTERM, and SIGCONT for those that are stopped), and waits for at most
 * `graceMs` until they have. True when nothing is left. A frozen cgroup hears nothing, so it is not waited for.
 */
export async function askCgroup(path: string, graceMs: number): Promise<boolean> {
  if (!(await isPopulated(path))) return true;
  if (graceMs <= 0 || /^frozen 1$/m.test((await readIfThere(join(path, 'cgroup.events'))) ?? '')) return false;
  for (const pid of await processesIn(path)) for (const name of ['SIGTERM', 'SIGCONT'] as const) trySignal(pid, name);
  return eventually(async () => !(await isPopulated(path)), graceMs);
}

/** Ends every process in the cgroup and below by SIGKILL, frozen ones too, and waits until they are gone. Errors: WEFT_SANDBOX_BUSY. */
export async function killCgroup(path: string): Promise<void> {
  if (!(await isPopulated(path))) return;
  const asked = await writeControl(path, 'cgroup.kill', '1'); // false before Linux 5.14
  const gone = asked ? await eventually(async () => !(await isPopulated(path)), HOST.cgroupKillMs) : await killEach(path);
  if (!gone) throw await busy(path, 'they do not end, even by SIGKILL: look at what they wait for (state D in ps)');
}

/** Kills the processes one by one until none is left, as they may start others meanwhile; false when some stay. */
export function killEach(path: string): Promise<boolean> {
  return eventually(async () => {
    for (const pid of await processesIn(path)) trySignal(pid, 'SIGKILL');
    return !(await isPopulated(path));
  }, HOST.cgroupKillMs);
}

/** Removes a cgroup and those below it; does nothing when it is gone. Errors: WEFT_SANDBOX_BUSY when processes are in it. */
export async function removeCgroup(path: string): Promise<void> {
  for (const child of await childrenOf(path)) await removeCgroup(child);
  let lastError: unknown = null;
  const removed = await eventually(async () => {
    try {
      await rmdir(path);
      return true;
    } catch (error) {
      lastError = error;
      return codeOf(error) === 'ENOENT';
    }
  }, HOST.cgroupSettleMs);
  if (!removed) throw await busy(path, 'stop them first', lastError);
}

/** Removes a cgroup if nothing is in it, and leaves it otherwise. */
export async function removeEmptyCgroup(path: string): Promise<void> {
  await rmdir(path).catch(() => {}); // gone already, or busy: whoever made it looks again
}

async function makeCgroup(path: string): Promise<void> {
  try {
    await mkdir(path);
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return;
    throw new WeftError('WEFT_SANDBOX_CGROUP', `cannot make the cgroup ${path}: ${String(codeOf(error))}`, {
      remedy: 'run as root, where the cgroup v2 mount is writable',
      cause: error,
    });
  }
}

async function busy(path: string, remedy: string, cause?: unknown): Promise<WeftError> {
  const pids = (await processesIn(path)).slice(0, 10).join(', ');
  return new WeftError(
    'WEFT_SANDBOX_BUSY',
    `the cgroup ${path} still has processes: ${pids === '' ? 'none that can be listed' : pids}`,
    {
      remedy,
      cause,
    },
  );
}

function notCgroup2(path: string): WeftError {
  return new WeftError('WEFT_SANDBOX_CGROUP', `${path} is not inside a cgroup v2 mount`, {
    remedy: 'give a directory below the cgroup v2 mount point',
  });
}

async function childrenOf(path: string): Promise<readonly string[]> {
  const entries = await readdir(path, { withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isDirectory()).map((entry) => join(path, entry.name));
}

async function isCgroup2(path: string): Promise<boolean> {
  return statfs(path).then(
    ({ type }) => type === CGROUP2_MAGIC,
    () => false,
  );
}

async function exists(path: string): Promise<boolean> {
  return statfs(path).then(
    () => true,
    () => false,
  );
}

/** False when there is no such file. */
async function writeControl(path: string, file: string, text: string): Promise<boolean> {
  return writeFile(join(path, file), text, { flag: 'r+' }).then(
    () => true,
    () => false,
  );
}

async function readIfThere(path: string): Promise<string | null> {
  return readFile(path, 'utf8').catch(() => null);
}

function trySignal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // it ended by itself
  }
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error ? String(error.code) : undefined;
}

function unescaped(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}
