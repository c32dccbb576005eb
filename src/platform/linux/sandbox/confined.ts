import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process';
import type { Readable } from 'node:stream';
import type { Rights } from '#model/rights/rights.ts';
import { asInit, signalsTo } from '#platform/linux/confine/init.ts';
import { readViewFacts, readWishes } from '#platform/linux/confine/machine.ts';
import { setprivArgv } from '#platform/linux/confine/rights.ts';
import { isReplaced, planView, type Step } from '#platform/linux/confine/view.ts';
import { findProgram } from '#platform/linux/process/command.ts';
import { commandLine, entering, LAUNCH_FAILED_STATUS, type Place, quoted } from './launch.ts';

/** How a workload's command is started. */
export type ConfinedOptions = {
  env: NodeJS.ProcessEnv;
  cwd: string;
  rights: Rights;
  /** Files and directories of the mesh that it must not see, beside the run directory's. */
  hidden: readonly string[];
  /** Paths that it sees as the machine has them. */
  shared: readonly string[];
  /** What it takes its machine to be called. */
  hostname: string;
  chosen?: Readonly<Record<string, string>>;
  /** Descriptors of this process that it gets as 3, 4 and so on; at most `DESCRIPTORS_MAX`. */
  descriptors?: readonly number[];
  /** Of standard input, output and error. */
  stdio?: 'inherit' | readonly ['ignore' | 'pipe' | 'inherit', 'pipe' | 'inherit', 'pipe' | 'inherit'];
};

/** A workload's command, as its parent steers it. */
export type ConfinedProcess = {
  /** The first process of its namespace, which ends with the command, and everything in the namespace with it. */
  pid: number | undefined;
  stdout: Readable | null;
  stderr: Readable | null;
  /** Resolves when the command is about to run; never, when it cannot. */
  ready: Promise<void>;
  kill(signal: NodeJS.Signals): void;
  once: ChildProcess['once'];
};

/**
 * Mounts as the view says; the plan comes as text, in which every word is quoted. The command starts in its working directory by
 * name: the one it was started from may lie below a mask.
 */
const SHOW_VIEW = `
plan=$1 cwd=$2 host=$3; shift 3
fail() { echo "weft: cannot give the command its view of the machine: $*" >&2; exit ${LAUNCH_FAILED_STATUS}; }
[ -z "$host" ] || { echo "$host" >/proc/sys/kernel/hostname; } 2>/dev/null || hostname "$host" || fail "the hostname $host"
mask=$(umask); umask 022
eval "$plan"
umask "$mask"
cd -P -- "$cwd" || fail "cd $cwd"
exec "$@"`;

/** How it is told that there is nothing to run. */
const NO_COMMAND = 'WEFT_NO_COMMAND';

/** Ends a shell whose arguments are no command that there is, and says why as an error of ours. */
export const FIND_COMMAND = `
no_command() {
  printf 'weft: %s (${NO_COMMAND})\\nremedy: %s\\n' "$2" "$3" >&2
  exit "$1"
}
program=$1
case $1 in
  */*)
    [ -e "$1" ] || no_command 127 "there is no file $1 to be run" "check its path, which begins in the working directory, and that user $(id -un) may look there"
    [ ! -d "$1" ] && [ -x "$1" ] || no_command 126 "$1 may not be executed by user $(id -un)" 'make it executable (chmod +x), name the program that reads it, or choose another user (--user)' ;;
  *) program=$(command -v -- "$1") || no_command 127 "there is no command \\"$1\\"" "check its name, or write its path; PATH is $PATH" ;;
esac
case $program in
  */*)
    reader=$(head -c 256 "$program" 2>/dev/null | sed -n '1{s/^#![[:space:]]*\\([^[:space:]]*\\).*/\\1/p;q;}')
    [ -z "$reader" ] || [ -x "$reader" ] ||
      no_command 127 "$program is a script for $reader, which is not there" 'install that program, or correct the first line of the script' ;;
esac
`;

/** Fixed by shells, which know descriptors of one digit: 3 to 8 are the command's, and the last is that of its first process. */
const TOLD = 9;
/** How many descriptors a command can be given beside standard input, output and error. */
export const DESCRIPTORS_MAX = TOLD - 3;

/**
 * The first process of a namespace ignores signals that it does not handle, and inherits orphans: so it is this shell, which has
 * no more rights than the command, waits for it, and says on its own descriptor when it is about to start it. What it prints
 * about a command that a signal ended is for nobody. It says itself what a shell would say in its own words, or not at all: that
 * there is no such command, and that a command which went into the background ends here, as its namespace does. Descriptors go
 * by the convention of sd_listen_fds(3), which names the process that they are for: it has a number only once it is there.
 */
const INIT = `${FIND_COMMAND}echo ready >&${TOLD}
exec ${TOLD}>&2 2>/dev/null
(
  [ -z "\${LISTEN_FDS:-}" ] || exec /bin/sh -c 'LISTEN_PID=$$; export LISTEN_PID; exec "$@"' weft "$@" 2>&${TOLD} ${TOLD}>&-
  exec "$@" 2>&${TOLD} ${TOLD}>&-
)
status=$? left=0
for place in /proc/[0-9]*; do
  [ "$place" != /proc/1 ] && read -r line <"$place/stat" || continue
  case \${line##*) } in [ZX]*) ;; *) left=$((left + 1)) ;; esac
done
[ $status -ne 0 ] || [ $left -eq 0 ] ||
  echo "weft: the command has ended and left processes in the background ($left), which end with it: run it in the foreground" >&${TOLD}
exit $status`;

const PACKAGES = {
  mount: 'mount',
  umount: 'mount',
  mkdir: 'coreutils',
  touch: 'coreutils',
  cp: 'coreutils',
  ln: 'coreutils',
  install: 'coreutils',
};

/**
 * Starts a workload's command in a sandbox, confined: with these rights only, and with process, mount and cgroup namespaces of its
 * own. It sees neither processes nor cgroups outside, nor what `hidden` names; programs and settings of the machine are
 * read-only. Exit status and signals are the command's own.
 * Errors: those of `launchIn`, WEFT_SHARE.
 */
export function launchConfined(place: Place, argv: readonly string[], options: ConfinedOptions): ConfinedProcess {
  const { cwd, rights, hidden, shared, hostname } = options;
  const { env, command } = commandLine(argv, { ...options, env: withDescriptors(options) }, INIT);
  const facts = readViewFacts();
  const plan = planView(readWishes({ hidden, shared, cwd, resolvConfPath: place.resolvConfPath }, facts), facts);
  // It is the first process of its namespace, so with it goes everything that it started.
  const drop = setprivArgv(findProgram('setpriv', 'util-linux'), rights, { endsWithParent: true });
  const inside = [...seeing(plan, { cwd, hostname }, ['--cgroup', '--uts']), ...drop, ...command];
  const stdio = options.stdio ?? 'inherit';
  const standard = stdio === 'inherit' ? (['inherit', 'inherit', 'inherit'] as const) : stdio;
  const handed = Array.from({ length: DESCRIPTORS_MAX }, (_, at) => options.descriptors?.[at] ?? 'ignore');
  const all: StdioOptions = [...standard, ...handed, 'pipe']; // 'ignore' beyond standard error: nothing is open there
  const init = asInit(() => spawn('/bin/sh', ['-c', ...entering(place, inside)], { env, cwd, stdio: all }));
  const told = (init.stdio as readonly unknown[])[TOLD] as Readable; // its type knows five
  const ready = new Promise<void>((resolve) => told.once('data', () => resolve()).resume());
  return {
    pid: init.pid,
    stdout: init.stdout,
    stderr: init.stderr,
    ready,
    kill: signalsTo(init, ready),
    once: init.once.bind(init),
  };
}

/**
 * The command line that goes on in a mount namespace of its own, where the machine looks as planned; `others`: namespaces beside it.
 * `slave`: what the machine unmounts later goes inside too. A private copy would hold on to what others remove. `hostname` null:
 * the machine's.
 */
export function seeing(
  plan: readonly Step[],
  { cwd, hostname }: { cwd: string; hostname: string | null },
  others: readonly string[],
): string[] {
  return [
    ...[findProgram('unshare', 'util-linux'), '--mount', ...others, '--propagation', 'slave', '--'],
    ...['/bin/sh', '-c', SHOW_VIEW, 'weft', scriptOf(plan), cwd, hostname ?? ''],
  ];
}

/** What was said of the descriptors of this process is not true of those of the command. */
function withDescriptors({ env, descriptors = [] }: ConfinedOptions): NodeJS.ProcessEnv {
  const { LISTEN_FDS: _, LISTEN_PID: __, LISTEN_FDNAMES: names, ...others } = env;
  if (descriptors.length === 0) return others;
  return { ...others, LISTEN_FDS: String(descriptors.length), ...(names === undefined ? {} : { LISTEN_FDNAMES: names }) };
}

/** The plan as text for a shell. */
export function scriptOf(plan: readonly Step[]): string {
  const programs = new Map(Object.entries(PACKAGES).map(([name, packageName]) => [name, findProgram(name, packageName)]));
  return plan
    .map(([program, ...args]) => {
      // Without a line in /run/mount, which lists the machine's mounts.
      const quiet = program === 'mount' || program === 'umount' ? ['-n'] : [];
      const words = [programs.get(program) ?? program, ...quiet, ...args].map(quoted).join(' ');
      const place = args.at(-1) ?? '';
      const failed = `fail ${quoted([program, ...args].join(' '))}`;
      // A socket, a token or a mount may have gone since the machine was looked at: then there is nothing to cover.
      if (program === 'umount' && !isReplaced(place)) return `${words} 2>/dev/null || :`;
      if (program !== 'mount' || isReplaced(place)) return `${words} || ${failed}`;
      return `${words} 2>/dev/null || [ ! -e ${quoted(place)} ] || ${failed}`;
    })
    .join('\n');
}
