import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import { release } from 'node:os';
import { join } from 'node:path';
import koffi from 'koffi';
import { WEFT_ROOT } from '#platform/program/installation.ts';

/** What a machine offers, as far as Weft's data path depends on it. */
export type MachineFacts = {
  /** As process.platform names it. */
  platform: string;
  /** As `uname -r` prints it. */
  kernelRelease: string;
  /** Effective user id; 0 is root. */
  userId: number;
  /** The kernel's own type information can be read. */
  kernelTypesReadable: boolean;
  /** Mount points of cgroup v2 file systems. */
  cgroup2Mounts: readonly string[];
  /** libbpf.so.1 can be loaded. */
  libbpfLoads: boolean;
  /** Files that `make setup` builds and that are missing, relative to the project's folder. */
  unbuilt: readonly string[];
};

const BUILT_FILES = ['build/bpf/connect.o', 'build/bpf/lookup.o'];
/** The bundle holds what is generated; where there are no sources, it is all there is. */
const BUILT_FOR_SOURCES = ['build/proto/weft_pb.js'];

/** The facts about this machine, for `machineProblems`. `root` is the project's folder. */
export function readMachineFacts(root = WEFT_ROOT): MachineFacts {
  return {
    platform: process.platform,
    kernelRelease: release(),
    userId: process.geteuid?.() ?? -1,
    kernelTypesReadable: readable('/sys/kernel/btf/vmlinux'),
    cgroup2Mounts: cgroup2MountsIn(readOrEmpty('/proc/self/mounts')),
    libbpfLoads: libbpfLoads(),
    unbuilt: [...BUILT_FILES, ...(existsSync(join(root, 'src/main')) ? BUILT_FOR_SOURCES : [])].filter(
      (path) => !existsSync(join(root, path)),
    ),
  };
}

/** Mount points of cgroup v2 in the text of /proc/self/mounts, in its order. */
export function cgroup2MountsIn(mounts: string): string[] {
  return mounts
    .split('\n')
    .map((line) => line.split(' '))
    .filter(([, , type]) => type === 'cgroup2')
    .map(([, point]) => unescapeMount(point ?? ''));
}

/** The kernel writes blanks and backslashes of a path as octal escapes. */
function unescapeMount(path: string): string {
  return path.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

function libbpfLoads(): boolean {
  try {
    koffi.load('libbpf.so.1').unload();
    return true;
  } catch {
    return false;
  }
}

function readable(path: string): boolean {
  try {
    accessSync(path, constants.R_OK);
    return true;
  } catch {
    return false;
  }
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
