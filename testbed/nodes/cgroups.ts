import { readdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const EMPTY_WAIT_MS = 5_000;
const POLL_MS = 20;

/** Kills every process in a cgroup and below, and waits until they are gone. No such cgroup is fine. */
export async function killCgroup(path: string): Promise<void> {
  const deadlineMs = Date.now() + EMPTY_WAIT_MS;
  while (Date.now() < deadlineMs) {
    const killed = await writeFile(join(path, 'cgroup.kill'), '1').then(
      () => true,
      () => false,
    );
    if (!killed) await killEach(path);
    if (!(await cgroupPopulated(path))) return;
    await sleep(POLL_MS);
  }
}

/** Removes a cgroup with everything below it; it must hold no process. Returns whether it is gone. */
export async function removeCgroupTree(path: string): Promise<boolean> {
  for (const child of await childCgroups(path)) await removeCgroupTree(child);
  const deadlineMs = Date.now() + EMPTY_WAIT_MS;
  for (;;) {
    const code = await rmdir(path).then(
      () => 'OK',
      (error: NodeJS.ErrnoException) => error.code,
    );
    if (code === 'OK' || code === 'ENOENT') return true;
    // EBUSY: the last process is dead but not yet reaped.
    if (code !== 'EBUSY' || Date.now() >= deadlineMs) return false;
    await sleep(POLL_MS);
  }
}

/** Every cgroup below `path`, itself first; empty when there is none. */
export async function cgroupTree(path: string): Promise<string[]> {
  const exists = await readdir(path).then(
    () => true,
    () => false,
  );
  if (!exists) return [];
  const below = await Promise.all((await childCgroups(path)).map(cgroupTree));
  return [path, ...below.flat()];
}

/** Ids of the processes in a cgroup itself. */
export async function cgroupProcesses(path: string): Promise<number[]> {
  const text = await readFile(join(path, 'cgroup.procs'), 'utf8').catch(() => '');
  return text.split('\n').filter(Boolean).map(Number);
}

async function childCgroups(path: string): Promise<string[]> {
  const entries = await readdir(path, { withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isDirectory()).map((entry) => join(path, entry.name));
}

async function cgroupPopulated(path: string): Promise<boolean> {
  const events = await readFile(join(path, 'cgroup.events'), 'utf8').catch(() => 'populated 0');
  return events.includes('populated 1');
}

/** For kernels before 5.14, which have no cgroup.kill. */
async function killEach(path: string): Promise<void> {
  for (const cgroup of await cgroupTree(path)) {
    for (const pid of await cgroupProcesses(cgroup)) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It ended by itself meanwhile.
      }
    }
  }
}
