import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { WeftError } from '#model/error.ts';
import { CAPABILITIES, type CapabilityName } from '#model/rights/capabilities.ts';
import type { Account, Rights } from '#model/rights/rights.ts';
import { HOST } from '#model/settings/host.ts';
import { besideOf, firstChildOf } from '#platform/linux/confine/init.ts';
import { type Mount, parseMountinfo } from '#platform/linux/confine/mounts.ts';
import { setprivArgv } from '#platform/linux/confine/rights.ts';
import { findProgram } from '#platform/linux/process/command.ts';
import { eventually } from '#platform/linux/process/waiting.ts';
import { FIND_COMMAND } from './confined.ts';
import { commandLine, EXECUTE, entering, LAUNCH_FAILED_STATUS } from './launch.ts';

/** A workload that runs, as seen from outside: what is needed to start something beside its command. */
export type Inside = {
  /** The first process of its namespaces. */
  init: number;
  account: Account;
  /** What none of its processes can have more than. */
  capabilities: readonly CapabilityName[];
  /** Of its command. A workload may have changed what it says: it is data, and no right comes from it. */
  env: Readonly<Record<string, string>>;
  /** Directories of its cgroups. */
  cgroups: readonly string[];
};

/**
 * Looks into the workload that the `weft run` with this process id runs, once its command is there. Null when none runs.
 */
export async function lookInside(runPid: number): Promise<Inside | null> {
  let found: Inside | null = null;
  await eventually(() => {
    const init = childrenOf(runPid).find(isConfined);
    const command = init === undefined ? null : firstChildOf(init);
    found = init === undefined || command === null ? null : readInside(init, command);
    return found !== null;
  }, HOST.commandForkMs);
  return found;
}

/**
 * Starts a command beside that of a workload: in its namespaces and cgroups, with these rights and variables. `workdir` null: where
 * the workload started; relative: below that. Signals and exit status are the command's own. Errors: WEFT_SANDBOX_LAUNCH, WEFT_SANDBOX_COMMAND; later ones as of `launchIn`.
 */
export function launchInside(
  { init, cgroups }: Inside,
  argv: readonly string[],
  { rights, chosen, workdir }: { rights: Rights; chosen: Readonly<Record<string, string>>; workdir: string | null },
): ChildProcess {
  const { PATH, TERM } = process.env;
  const { env, command } = commandLine(argv, { env: { PATH, TERM }, cwd: '/', rights, chosen }, `${FIND_COMMAND}${EXECUTE}`);
  const drop = setprivArgv(findProgram('setpriv', 'util-linux'), rights, { endsWithParent: true });
  const spaces = (['mnt', 'uts', 'ipc', 'cgroup'] as const).map((name) => `--${OPTION[name]}=/proc/${init}/ns/${name}`);
  // A mount namespace has a root of its own, which is not that of a process that lives in another directory of it.
  const places = [`--root=/proc/${init}/root`, `--wd=/proc/${init}/cwd`];
  const enter = [
    findProgram('nsenter', 'util-linux'),
    ...spaces,
    ...places,
    '--',
    '/bin/sh',
    '-c',
    CHANGE_DIRECTORY,
    'weft',
    workdir ?? '.',
  ];
  const [cgroupPath = '', ...twins] = cgroups;
  const place = { cgroupPath, twins, netnsPath: `/proc/${init}/ns/net`, resolvConfPath: '' };
  const inside = entering(place, [...enter, ...drop, ...command]);
  return besideOf(init, () => spawn('/bin/sh', ['-c', ...inside], { env, cwd: '/', stdio: 'inherit' }));
}

const OPTION = { mnt: 'mount', uts: 'uts', ipc: 'ipc', cgroup: 'cgroup' } as const;

const CHANGE_DIRECTORY = `
cd -P -- "$1" || exit ${LAUNCH_FAILED_STATUS}
shift
exec "$@"`;

function childrenOf(pid: number): number[] {
  return textOf(`/proc/${pid}/task/${pid}/children`)
    .split(' ')
    .map(Number)
    .filter((child) => child > 0);
}

/** Whether it is the first of a process namespace, and has given up its rights: before that it has those of root. */
function isConfined(pid: number): boolean {
  const isFirst = /\s1$/.test(fieldOf(pid, 'NSpid'));
  const [program = ''] = textOf(`/proc/${pid}/cmdline`).split('\0');
  return isFirst && fieldOf(pid, 'NoNewPrivs') === '1' && program.endsWith('/sh');
}

function readInside(init: number, command: number): Inside | null {
  const number = (field: string): number => Number(fieldOf(init, field).split('\t')[1]); // the effective one
  const bounding = BigInt(`0x${fieldOf(init, 'CapBnd') || '0'}`);
  const groups = fieldOf(init, 'Groups').split(' ').filter(Boolean).map(Number);
  const names = Object.keys(CAPABILITIES) as CapabilityName[]; // in the kernel's order
  const variables = textOf(`/proc/${command}/environ`).split('\0');
  try {
    return {
      init,
      account: { uid: number('Uid'), gid: number('Gid'), groups, name: null, home: '/' },
      capabilities: names.filter((_, at) => (bounding >> BigInt(at)) & 1n),
      env: Object.fromEntries(variables.filter((one) => /^[^=]+=/.test(one)).map(splitVariable)),
      cgroups: cgroupsOf(init),
    };
  } catch {
    return null; // it ended meanwhile
  }
}

function splitVariable(text: string): [string, string] {
  const at = text.indexOf('=');
  return [text.slice(0, at), text.slice(at + 1)];
}

/** That of version 2 first. Errors: WEFT_CGROUP2. */
function cgroupsOf(pid: number): string[] {
  const mounts = parseMountinfo(readFileSync('/proc/self/mountinfo', 'utf8'));
  const lines = textOf(`/proc/${pid}/cgroup`).trim().split('\n');
  const found = lines.map((line) => {
    const [, controllers = '', path = '/'] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    const mount = mounts.findLast(isOf(controllers));
    return { isSecond: controllers === '', directory: mount === undefined || path === '/' ? null : join(mount.point, path) };
  });
  const second = found.find(({ isSecond }) => isSecond)?.directory ?? null;
  if (second === null)
    throw new WeftError('WEFT_CGROUP2', 'the cgroup of the workload cannot be found', { remedy: 'mount cgroup v2' });
  return [second, ...found.flatMap(({ isSecond, directory }) => (isSecond || directory === null ? [] : [directory]))];
}

function isOf(controllers: string): (mount: Mount) => boolean {
  if (controllers === '') return ({ type }) => type === 'cgroup2';
  return ({ type, superOptions }) => type === 'cgroup' && controllers.split(',').every((name) => superOptions.includes(name));
}

function fieldOf(pid: number, name: string): string {
  return new RegExp(`^${name}:\\t(.*)$`, 'm').exec(textOf(`/proc/${pid}/status`))?.[1] ?? '';
}

/** Empty for what has ended. */
function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
