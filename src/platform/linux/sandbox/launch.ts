import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process';
import { statSync } from 'node:fs';
import { WeftError } from '#model/error.ts';
import { environmentOf, type Rights } from '#model/rights/rights.ts';
import { setprivArgv } from '#platform/linux/confine/rights.ts';
import { findProgram } from '#platform/linux/process/command.ts';
import type { Sandbox } from './sandbox.ts';

/** What a command needs to know of a sandbox. */
export type Place = Pick<Sandbox, 'cgroupPath' | 'netnsPath' | 'resolvConfPath'> & {
  /** Cgroups of version 1 that limit what lives in the sandbox. */
  twins?: readonly string[];
};

/** How a command is started; nothing is taken over from this process unless it is given here. */
export type LaunchOptions = {
  /** The command's whole environment. */
  env: NodeJS.ProcessEnv;
  cwd: string;
  /** Whether the command sees the sandbox's resolv.conf as /etc/resolv.conf (in a mount namespace of its own). */
  mountResolvConf: boolean;
  /** What the command may do; null: all that this process may. */
  rights: Rights | null;
  /** Variables that were chosen for it, which count more than those that tell it who it is. */
  chosen?: Readonly<Record<string, string>>;
  /** 'inherit' by default. */
  stdio?: StdioOptions;
};

/** Status of a process that ended because the sandbox could not be entered; 126 and 127 are as in a shell. */
export const LAUNCH_FAILED_STATUS = 125;

/** The cgroup comes before anything that could make a socket: programs attached there must see each one. */
const JOIN_CGROUP = `
nsenter=$1 netns=$2; shift 2
while [ "$1" != -- ]; do
  echo 0 > "$1/cgroup.procs" || { echo "weft: cannot join the cgroup $1" >&2; exit ${LAUNCH_FAILED_STATUS}; }
  shift
done
shift
exec "$nsenter" --net="$netns" -- "$@"`;

/**
 * Beside /etc/resolv.conf, two local services would answer for the whole machine and not for the workload; /dev/null over
 * their sockets makes the C library ask by DNS.
 */
const MOUNT_RESOLV_CONF = `
mount=$1 file=$2; shift 2
[ -e /etc/resolv.conf ] || { echo "weft: /etc/resolv.conf is missing, so nothing can be mounted over it: create an empty one" >&2; exit ${LAUNCH_FAILED_STATUS}; }
"$mount" -n --bind "$file" /etc/resolv.conf || { echo "weft: cannot mount $file over /etc/resolv.conf" >&2; exit ${LAUNCH_FAILED_STATUS}; }
for socket in /run/systemd/resolve/io.systemd.Resolve /run/nscd/socket; do
  [ ! -S "$socket" ] || "$mount" -n --bind /dev/null "$socket" || exit ${LAUNCH_FAILED_STATUS}
done
exec "$@"`;

/** A shell tells a command that is not there from one that may not run by its exit status. */
export const EXECUTE = 'exec "$@"';
const SHELL = '/bin/sh';
/** What a shell passes on in its environment; other names get lost in one. */
const SHELL_VARIABLE = /^[A-Za-z_][A-Za-z0-9_]*$/;
/** Fixed by bash, which may be the shell: nobody sets these in it. */
const SHELLS_OWN = /^(UID|EUID|PPID|SHELLOPTS|BASHOPTS|BASH_VERSINFO)$/;

/**
 * Chosen variables come into force when the rights are gone: a library that one of them names (LD_PRELOAD) is loaded by nothing
 * that has more rights than the command, and no value stands in an argument, which everybody on the machine may read.
 */
const CHOOSE = 'eval "$weft_chosen"; unset weft_chosen;';

/**
 * Starts a command in a sandbox. Every step replaces the one before it, so the process that is returned is the command
 * itself: signals and exit status are its own. Arguments are passed as they are; the scripts are constant.
 * Errors: WEFT_SANDBOX_LAUNCH for a command that cannot be, WEFT_SANDBOX_COMMAND when a needed program is missing; later
 * failures are told on its standard error with status 125 (sandbox), 126 or 127 (command).
 */
export function launchIn(sandbox: Place, argv: readonly string[], options: LaunchOptions): ChildProcess {
  const { cwd, mountResolvConf, rights, stdio } = options;
  const { env, command } = commandLine(argv, options, EXECUTE);
  const drop = rights === null ? [] : setprivArgv(findProgram('setpriv', 'util-linux'), rights);
  // Rights go last: joining and mounting need them.
  const inside = mountResolvConf ? withResolvConf(sandbox.resolvConfPath, [...drop, ...command]) : [...drop, ...command];
  return spawn(SHELL, ['-c', ...entering(sandbox, inside)], { env, cwd, stdio: stdio ?? 'inherit' });
}

/** The arguments of a shell that joins the cgroup, enters the network namespace and becomes a command there. */
export function entering({ cgroupPath, netnsPath, twins = [] }: Place, command: readonly string[]): string[] {
  return [JOIN_CGROUP, 'weft', findProgram('nsenter', 'util-linux'), netnsPath, cgroupPath, ...twins, '--', ...command];
}

/**
 * The command that a constant shell script gets as its arguments, and its environment. Errors: WEFT_SANDBOX_LAUNCH for one that
 * cannot be.
 */
export function commandLine(
  argv: readonly string[],
  { env, cwd, rights, chosen = {} }: Pick<LaunchOptions, 'env' | 'cwd' | 'rights' | 'chosen'>,
  script: string,
): { env: NodeJS.ProcessEnv; command: string[] } {
  checkCommand(argv, cwd);
  const inherited = { ...env, ...(rights === null ? {} : environmentOf(rights)) };
  const isPlain = (name: string): boolean => SHELL_VARIABLE.test(name) && !SHELLS_OWN.test(name);
  const variables = Object.entries(chosen);
  const exports = variables.filter(([name]) => isPlain(name)).map(([name, value]) => `export ${name}=${quoted(value)}\n`);
  const odd = [
    ...Object.entries(inherited).filter(([name, value]) => value !== undefined && name !== '' && !SHELL_VARIABLE.test(name)),
    ...variables.filter(([name]) => !isPlain(name)),
  ];
  const command = [
    SHELL,
    '-c',
    `${exports.length === 0 ? '' : CHOOSE}${script}`,
    'weft',
    ...environmentPrefix(argv, odd),
    ...argv,
  ];
  return { env: exports.length === 0 ? inherited : { ...inherited, weft_chosen: exports.join('') }, command };
}

/** A word as a shell takes it, whatever is in it. */
export function quoted(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

/**
 * `slave`: what the machine mounts and unmounts later shows inside too. A wholly private copy would hold on to the network
 * namespaces of other sandboxes after they are removed.
 */
function withResolvConf(resolvConfPath: string, command: readonly string[]): readonly string[] {
  const unshare = findProgram('unshare', 'util-linux');
  const mount = findProgram('mount', 'mount');
  const script = [SHELL, '-c', MOUNT_RESOLV_CONF, 'weft', mount, resolvConfPath];
  return [unshare, '--mount', '--propagation', 'slave', '--', ...script, ...command];
}

function environmentPrefix(
  argv: readonly string[],
  odd: readonly (readonly [name: string, value: string | undefined])[],
): readonly string[] {
  if (odd.length === 0) return [];
  if (argv[0]?.includes('=')) {
    throw refused(
      `"${argv[0]}" has a "=" in its name while the environment has variables like "${odd[0]?.[0]}"`,
      'unset them, or call it by another name',
    );
  }
  return [findProgram('env', 'coreutils'), '--', ...odd.map(([name, value]) => `${name}=${value}`)];
}

function checkCommand(argv: readonly string[], cwd: string): void {
  const [program = ''] = argv;
  if (program === '') throw refused('no command is given', 'write the command after "--"');
  if (program.startsWith('-'))
    throw refused(
      `"${program}" is an option, not a command`,
      'write the command after "--", by its path if its name begins with "-"',
    );
  if (argv.some((argument) => argument.includes('\0'))) throw refused('an argument has a NUL character', 'leave it out');
  if (statSync(cwd, { throwIfNoEntry: false })?.isDirectory() !== true)
    throw refused(`the working directory ${cwd} does not exist`, 'create it, or start elsewhere');
}

function refused(problem: string, remedy: string): WeftError {
  return new WeftError('WEFT_SANDBOX_LAUNCH', `cannot start the command: ${problem}`, { remedy });
}
