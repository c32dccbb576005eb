import type { ChildProcess } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { toLastResort } from '#model/effects/mishaps.ts';
import { WeftError } from '#model/error.ts';
import type { CapabilityName } from '#model/rights/capabilities.ts';
import { COMMAND, HOST } from '#model/settings/host.ts';
import { errno, errnoName, getpgrp, seccomp, setns, signal, syscall, tcgetpgrp, tcsetpgrp, unshare } from '#platform/ffi/libc.ts';
import { encodeFilter, syscallFilter } from './syscalls.ts';

const CLONE_NEWPID = 0x20000000;
/** Fixed by the kernel: the number of close_range(2) on every architecture, and its flag that closes at the next execve(2). */
const CLOSE_RANGE = 436;
const CLOSE_RANGE_CLOEXEC = 4;
/** Fixed by the kernel: the number of seccomp(2), its operation, and its flag without which old kernels slow the whole process. */
const SECCOMP = { x64: 317, arm64: 277 } as const;
const SET_MODE_FILTER = 1;
const SPEC_ALLOW = 4;
/** Fixed by the C library: SIG_IGN. */
const IGNORE = 1;
const FIRST_BEYOND_STDIO = 3;
const LAST = 0xffffffff;

/**
 * Runs `start`, whose one child becomes the first process of a process namespace of its own: it and what it starts see no
 * process outside, so they can neither signal nor trace one. Nor does it inherit a descriptor beyond those it is given.
 * `start` must be synchronous. Errors: WEFT_SANDBOX_LAUNCH; those of `start`.
 */
export function asInit(start: () => ChildProcess): ChildProcess {
  return inProcesses(() => unshare(CLONE_NEWPID) === 0, start);
}

/** The same in the process namespace of another process, beside what runs there. */
export function besideOf(pid: number, start: () => ChildProcess): ChildProcess {
  return inProcesses(() => {
    const target = openSync(`/proc/${pid}/ns/pid`, 'r');
    try {
      return setns(target, CLONE_NEWPID) === 0;
    } finally {
      closeSync(target);
    }
  }, start);
}

function inProcesses(enter: () => boolean, start: () => ChildProcess): ChildProcess {
  // Who called us may have left descriptors open: a directory below a mask, a socket from before the mesh.
  syscall(CLOSE_RANGE, FIRST_BEYOND_STDIO, LAST, CLOSE_RANGE_CLOEXEC);
  const home = openSync('/proc/thread-self/ns/pid', 'r');
  try {
    if (!enter()) {
      throw new WeftError('WEFT_SANDBOX_LAUNCH', `cannot enter a process namespace: ${errnoName(errno())}`, {
        remedy: 'run as root (CAP_SYS_ADMIN), on a kernel with CONFIG_PID_NS',
      });
    }
    try {
      return start();
    } finally {
      if (setns(home, CLONE_NEWPID) !== 0) {
        process.stderr.write('weft: cannot return to the own process namespace\n');
        process.abort();
      }
    }
  } finally {
    closeSync(home);
  }
}

/**
 * From now on the calls that lead out of a workload fail in this thread and in every process that it starts, for good. False
 * where the kernel has no such filters (CONFIG_SECCOMP_FILTER), or where there is none for this machine.
 */
export function refuseCalls(added: readonly CapabilityName[]): boolean {
  const { arch } = process;
  if (arch !== 'x64' && arch !== 'arm64') return false;
  const filter = syscallFilter(arch, added);
  return seccomp(SECCOMP[arch], SET_MODE_FILTER, SPEC_ALLOW, { len: filter.length, filter: encodeFilter(filter) }) === 0;
}

/**
 * Sends signals to the command that `init` runs, which is its first child. `ready` resolves when there is nothing left to do
 * before the command; what is sent earlier is kept until then. A command that has ended needs no signal.
 */
export function signalsTo(init: ChildProcess, ready: Promise<unknown>): (signal: NodeJS.Signals) => void {
  const send = (signal: NodeJS.Signals, triesLeft: number): void => {
    const pid = init.pid === undefined ? null : firstChildOf(init.pid);
    if (pid !== null) {
      trySignal(pid, signal);
    } else if (triesLeft > 0 && init.exitCode === null && init.signalCode === null) {
      setTimeout(() => send(signal, triesLeft - 1), COMMAND.pollMs);
    }
  };
  return (signal) => {
    ready.then(() => send(signal, HOST.commandForkMs / COMMAND.pollMs)).catch(toLastResort);
  };
}

/** The first process that a process started and that still runs, by its number outside. */
export function firstChildOf(pid: number): number | null {
  try {
    const [first = ''] = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ');
    return first === '' ? null : Number(first);
  } catch {
    return null; // it has ended
  }
}

function trySignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // it ended by itself
  }
}

/**
 * Makes the own process group that of the terminal again when the group in its foreground has ended: a shell gives the terminal
 * back when it ends, but one in a process namespace cannot name a group outside. Does nothing without a terminal.
 */
export function takeTerminalBack(fd: number): void {
  const [foreground, own] = [tcgetpgrp(fd), getpgrp()];
  if (foreground <= 0 || foreground === own || isThere(-foreground)) return;
  const before = signal(constants.signals.SIGTTOU, IGNORE); // to whoever is in the background, and is not to stop now
  tcsetpgrp(fd, own);
  signal(constants.signals.SIGTTOU, before);
}

function isThere(group: number): boolean {
  try {
    return process.kill(group, 0);
  } catch {
    return false;
  }
}
