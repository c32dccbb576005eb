import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, statfsSync } from 'node:fs';
import { WeftError } from '#model/error.ts';
import { errno, errnoName, mount, umount2 } from '#platform/ffi/libc.ts';

const BPF_FS_MAGIC = 0xcafe4a11;

/** True when `directory` lies on a bpf file system. */
export function isBpffs(directory: string): boolean {
  try {
    return statfsSync(directory).type === BPF_FS_MAGIC;
  } catch {
    return false;
  }
}

/** Makes sure that `directory` is a bpf file system; true when one had to be mounted there. Errors: WEFT_BPFFS. */
export function ensureBpffs(directory: string): boolean {
  if (isBpffs(directory)) return false;
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw new WeftError('WEFT_BPFFS', `cannot make ${directory}`, { cause, remedy: 'choose another place with --bpffs DIR' });
  }
  if (mount('bpf', directory, 'bpf', 0, 'mode=0700') !== 0) {
    throw new WeftError('WEFT_BPFFS', `cannot mount a bpf file system on ${directory}: ${errnoName(errno())}`, {
      remedy: 'run as root, on a kernel with CONFIG_BPF_SYSCALL',
    });
  }
  return true;
}

/** Unmounts the bpf file system at `directory` if nothing is pinned in it any more, and removes an empty directory. */
export function releaseBpffs(directory: string): void {
  if (!existsSync(directory) || readdirSync(directory).some((name) => !KERNEL_FILES.has(name))) return;
  const mounted = readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .some((line) => line.split(' ')[1] === directory);
  if (mounted) umount2(directory, 0);
  try {
    rmdirSync(directory);
  } catch {
    // a directory of the system, such as /sys/fs/bpf
  }
}

/** What the kernel itself puts into a new bpf file system. */
const KERNEL_FILES: ReadonlySet<string> = new Set(['maps.debug', 'progs.debug']);
