import { WeftError } from '#model/error.ts';
import { type MachineFacts, readMachineFacts } from './facts.ts';

/**
 * Returns when this machine can run Weft's data path.
 * Errors: the one reason why it cannot, or WEFT_MACHINE with an AggregateError of all of them as its cause.
 */
export function requireMachine(facts: MachineFacts = readMachineFacts()): void {
  const problems = machineProblems(facts);
  const [first] = problems;
  if (first === undefined) return;
  if (problems.length === 1) throw first;
  throw new WeftError('WEFT_MACHINE', 'this machine cannot run Weft', { cause: new AggregateError(problems) });
}

/** Returns when the process is root. Errors: WEFT_NOT_ROOT. */
export function requireRoot(because: string, userId: number = process.geteuid?.() ?? -1): void {
  if (userId !== 0) throw notRoot(because);
}

/** Oldest kernel that Weft supports; 6.6 has everything. */
const KERNEL_MIN = { major: 5, minor: 15 };

/** Every reason why a machine cannot run Weft's data path, each with its remedy; empty when it can. */
export function machineProblems(facts: MachineFacts): WeftError[] {
  if (facts.platform !== 'linux') {
    return [
      new WeftError('WEFT_NOT_LINUX', `this is ${facts.platform}, and Weft needs the Linux kernel`, {
        remedy: 'use a Linux machine, or a virtual machine with kernel 5.15 or newer',
      }),
    ];
  }
  const problems: WeftError[] = [];
  if (facts.userId !== 0) problems.push(notRoot('loading eBPF programs and making network namespaces'));
  if (kernelTooOld(facts.kernelRelease)) {
    problems.push(
      new WeftError(
        'WEFT_KERNEL_TOO_OLD',
        `the kernel is ${facts.kernelRelease}, older than ${KERNEL_MIN.major}.${KERNEL_MIN.minor}`,
        {
          remedy: 'boot kernel 5.15 or newer (6.6 or newer for everything)',
        },
      ),
    );
  }
  if (!facts.kernelTypesReadable) {
    problems.push(
      new WeftError('WEFT_NO_BTF', 'the kernel has no type information: /sys/kernel/btf/vmlinux is missing', {
        remedy: 'boot a kernel built with CONFIG_DEBUG_INFO_BTF=y (all current distribution kernels are)',
      }),
    );
  }
  if (facts.cgroup2Mounts.length === 0) {
    problems.push(
      new WeftError('WEFT_CGROUP2', 'no cgroup v2 file system is mounted', {
        remedy: 'run mkdir -p /sys/fs/cgroup/unified && mount -t cgroup2 none /sys/fs/cgroup/unified',
      }),
    );
  }
  if (!facts.libbpfLoads) {
    problems.push(
      new WeftError('WEFT_LIBBPF', 'cannot load libbpf.so.1', {
        remedy: 'install libbpf 1.x (Debian: apt-get install libbpf1), or run make setup',
      }),
    );
  }
  if (facts.unbuilt.length > 0) {
    problems.push(new WeftError('WEFT_NOT_BUILT', `not built yet: ${facts.unbuilt.join(', ')}`, { remedy: 'run make setup' }));
  }
  return problems;
}

/** The refusal of a command that only root can run; `because` says what needs root. */
export function notRoot(because: string): WeftError {
  return new WeftError('WEFT_NOT_ROOT', `you are not root, and ${because} needs it`, {
    remedy: 'run the same command with sudo',
  });
}

function kernelTooOld(release: string): boolean {
  const [, major, minor] = /^(\d+)\.(\d+)/.exec(release) ?? [];
  if (major === undefined || minor === undefined) return false; // an unknown scheme: let the feature probes decide
  return Number(major) !== KERNEL_MIN.major ? Number(major) < KERNEL_MIN.major : Number(minor) < KERNEL_MIN.minor;
}
