import { existsSync, mkdirSync, readFileSync, rmdirSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { WeftError } from '#model/error.ts';
import { type CgroupSetting, type Controller, type Limits, settingsOf } from '#model/launch/limits.ts';
import { isWithin, type Mount, parseMountinfo } from '#platform/linux/confine/mounts.ts';
import { cgroup2MountIn, removeCgroup } from './cgroup.ts';

/** Those that limit something here. */
const CONTROLLERS: readonly Controller[] = ['memory', 'cpu'];
/** Whoever removes an empty directory may do so between our making it and our using it. */
const MAKE_TRIES = 5;

/**
 * Limits what the processes of a cgroup v2 may use. Where a controller belongs to version 1, as on machines with both, the limit
 * lies in a cgroup there, the twin: returns the twins, which the processes have to join, too. It holds when this returns.
 * Errors: WEFT_LIMIT: this machine cannot limit that, or not so.
 */
export function limitCgroup(cgroupPath: string, limits: Limits): string[] {
  const mountinfo = readFileSync('/proc/self/mountinfo', 'utf8');
  const root = rootOf(cgroupPath, mountinfo);
  const own = wordsOf(join(root, 'cgroup.controllers'));
  const twins: string[] = [];
  for (const controller of settingsOf(limits, 2).keys()) {
    if (own.includes(controller)) {
      turnOn(controller, root, cgroupPath);
      tell(cgroupPath, controller, settingsOf(limits, 2));
      continue;
    }
    const mount = firstVersionMount(controller, parseMountinfo(mountinfo));
    if (mount === null) throw noController(controller);
    const twin = join(mount.point, relative(root, cgroupPath));
    make(twin);
    tell(twin, controller, settingsOf(limits, 1));
    twins.push(twin);
  }
  return twins;
}

/** Removes a cgroup with its twins of version 1, and what they lie in when nothing else does. Errors: as `removeCgroup`. */
export async function removeWithTwins(cgroupPath: string): Promise<void> {
  await removeCgroup(cgroupPath);
  const mountinfo = readFileSync('/proc/self/mountinfo', 'utf8');
  const mounts = parseMountinfo(mountinfo);
  const below = relative(rootOf(cgroupPath, mountinfo), cgroupPath);
  for (const mount of CONTROLLERS.map((controller) => firstVersionMount(controller, mounts))) {
    if (mount === null || below.startsWith('..')) continue;
    const twin = join(mount.point, below);
    if (existsSync(twin)) await removeCgroup(twin);
    removeEmpty(dirname(twin), mount.point);
  }
}

/** Whether the kernel killed a process of the cgroup, or of its twin, for want of memory; null where it does not count that. */
export function oomKills(cgroupPath: string): boolean | null {
  try {
    return countsKill(join(cgroupPath, 'memory.events'));
  } catch {
    return twinOomKills(cgroupPath); // the memory controller is not on here, or the cgroup has gone
  }
}

function twinOomKills(cgroupPath: string): boolean | null {
  try {
    const mountinfo = readFileSync('/proc/self/mountinfo', 'utf8');
    const mount = firstVersionMount('memory', parseMountinfo(mountinfo));
    if (mount === null) return null;
    return countsKill(join(mount.point, relative(rootOf(cgroupPath, mountinfo), cgroupPath), 'memory.oom_control'));
  } catch {
    return null; // its memory was not limited
  }
}

function countsKill(file: string): boolean {
  return /^oom_kill [1-9]/m.test(readFileSync(file, 'utf8'));
}

function rootOf(cgroupPath: string, mountinfo: string): string {
  const mounts = parseMountinfo(mountinfo).filter(({ type, point }) => type === 'cgroup2' && isWithin(cgroupPath, point));
  return mounts.at(-1)?.point ?? cgroup2MountIn(mountinfo) ?? '/sys/fs/cgroup';
}

function firstVersionMount(controller: Controller, mounts: readonly Mount[]): Mount | null {
  return mounts.findLast(({ type, superOptions }) => type === 'cgroup' && superOptions.includes(controller)) ?? null;
}

/** From the top down: a cgroup has a controller only if every one above it passes it on. */
function turnOn(controller: Controller, root: string, cgroupPath: string): void {
  const names = relative(root, dirname(cgroupPath)).split('/').filter(Boolean);
  for (let depth = 0; depth <= names.length; depth++) {
    const path = join(root, ...names.slice(0, depth));
    const file = join(path, 'cgroup.subtree_control');
    if (wordsOf(file).includes(controller)) continue;
    write(file, `+${controller}`, `turn on the ${controller} controller below ${path}`);
  }
}

function tell(cgroupPath: string, controller: Controller, all: ReadonlyMap<Controller, readonly CgroupSetting[]>): void {
  for (const { file, text, isOptional } of all.get(controller) ?? []) {
    const path = join(cgroupPath, file);
    if (isOptional && !existsSync(path)) continue;
    write(path, text, `set ${path} to ${text}`);
  }
}

function make(path: string): void {
  for (let tries = 1; ; tries++) {
    try {
      mkdirSync(path, { recursive: true });
      if (statSync(path).isDirectory()) return;
    } catch (cause) {
      if (tries === MAKE_TRIES) throw cannot(`make the cgroup ${path}`, cause);
    }
  }
}

function removeEmpty(directory: string, mount: string): void {
  for (let path = directory; path !== mount && isWithin(path, mount); path = dirname(path)) {
    try {
      rmdirSync(path);
    } catch {
      return; // others have something there, or it never was
    }
  }
}

function wordsOf(file: string): string[] {
  try {
    return readFileSync(file, 'utf8').trim().split(/\s+/);
  } catch {
    return []; // no such file: no such controllers
  }
}

function write(path: string, text: string, what: string): void {
  try {
    writeFileSync(path, text, { flag: 'r+' });
  } catch (cause) {
    throw cannot(what, cause);
  }
}

function cannot(what: string, cause: unknown): WeftError {
  return new WeftError('WEFT_LIMIT', `the workload cannot be limited: cannot ${what}`, {
    cause,
    remedy: 'see that cgroups are writable here, and that no process lies directly in one of those above the workload',
  });
}

function noController(controller: Controller): WeftError {
  return new WeftError('WEFT_LIMIT', `this machine has no ${controller} controller, so nothing here can be limited by it`, {
    remedy: `leave out --${controller === 'cpu' ? 'cpus' : 'memory'}, or boot with the controller (cgroup_enable=${controller}) and with cgroup v2 alone`,
  });
}
