import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import koffi from 'koffi';
import type { MapDefinition } from '#model/kernel/maps.ts';
import { errno, errnoName } from '#platform/ffi/libc.ts';
import { ensureBpffs, releaseBpffs } from './bpffs.ts';
import { libbpf, type ProgramHandle } from './libbpf.ts';
import { BpfMap } from './map.ts';

/** The calls of libbpf that only tests make: maps and pins of their own, single runs of a program, what the kernel says of one. */
const library = koffi.load('libbpf.so.1');
const mapCreate = library.func(
  'int bpf_map_create(int type, const char *name, uint32_t keySize, uint32_t valueSize, uint32_t entriesMax, const void *options)',
);
const objPin = library.func('int bpf_obj_pin(int fd, const char *path)');
const testRun = library.func('int bpf_prog_test_run_opts(int fd, void *options)');

/**
 * False where eBPF can be used: a test that then cannot use it fails. Else what is missing, as the reason of a loud skip.
 */
export const withoutBpf: string | false =
  process.getuid?.() !== 0
    ? 'MISSING: root, so nothing here was tried against the kernel'
    : existsSync('/sys/fs/bpf') && existsSync('/sys/kernel/btf/vmlinux')
      ? false
      : 'MISSING: eBPF with BTF, so nothing here was tried against the kernel';

/** A bpf file system of a test's own; everything pinned there goes with remove(). */
export function temporaryBpffs(): { path: string; remove(): void } {
  const dir = mkdtempSync(join(tmpdir(), 'weft-bpffs-'));
  const path = join(dir, 'bpf');
  ensureBpffs(path);
  return {
    path,
    remove: () => {
      for (const name of readdirSync(path)) if (!name.endsWith('.debug')) rmSync(join(path, name), { recursive: true });
      releaseBpffs(path);
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** Source: enum bpf_map_type of the kernel. */
const TYPES = { hash: 1, array: 2, lru: 9 } as const;
const NO_PREALLOC = 1;

/** A map of its own in the kernel, made as the programs' maps are. */
export function createMap<K, V>(name: string, definition: MapDefinition<K, V, keyof typeof TYPES>): BpfMap<K, V> {
  const { kind, key, value, entriesMax } = definition;
  // struct bpf_map_create_opts: its own size in 8 bytes, five numbers of 4, then the flags.
  const options = Buffer.alloc(48);
  options.writeBigUInt64LE(48n, 0);
  options.writeUInt32LE(kind === 'hash' ? NO_PREALLOC : 0, 28);
  const fd = mapCreate(TYPES[kind], name, key.size, value.size, entriesMax, options);
  if (fd < 0) throw new Error(`cannot create map ${name}: ${errnoName(errno())}`);
  return new BpfMap(name, fd, definition);
}

/** Pins a map on a bpf file system. */
export function pinMap({ fd }: { fd: number }, path: string): void {
  if (objPin(fd, path) !== 0) throw new Error(`cannot pin ${path}: ${errnoName(errno())}`);
}

/** What one run of a program came to; `context` as the program left it. */
export type Run = { returned: number; context: Buffer };

/** The kernel's own "this type of program cannot be run so"; no errno that user space knows. */
const ENOTSUPP = 524;

/** Runs a loaded program once with BPF_PROG_TEST_RUN; null when the kernel cannot run programs of its type so. */
export function runProgram(program: ProgramHandle, context: Buffer, inPlace = false): Run | null {
  const after = Buffer.from(context);
  // struct bpf_test_run_opts: contexts at 32 and 40, their sizes at 48 and 52, the result at 56.
  const options = Buffer.alloc(80);
  options.writeBigUInt64LE(80n, 0);
  options.writeBigUInt64LE(BigInt(koffi.address(after)), 32);
  options.writeUInt32LE(after.length, 48);
  if (!inPlace) {
    options.writeBigUInt64LE(BigInt(koffi.address(after)), 40);
    options.writeUInt32LE(after.length, 52);
  }
  const failed = testRun(libbpf().programFd(program), options);
  if (failed === -ENOTSUPP) return null;
  if (failed !== 0) throw new Error(`the kernel refuses to run the program: ${errnoName(-failed)}`);
  return { returned: options.readUInt32LE(56), context: after };
}

/** What a tc program answers to one frame, as if it came by the loopback interface (index 1). */
export function runOnFrame(program: ProgramHandle, frame: Buffer): number {
  const into = Buffer.alloc(frame.length + 256);
  // struct bpf_test_run_opts: frames at 8 and 16, their sizes at 24 and 28, the result at 56.
  const options = Buffer.alloc(80);
  options.writeBigUInt64LE(80n, 0);
  options.writeBigUInt64LE(BigInt(koffi.address(frame)), 8);
  options.writeBigUInt64LE(BigInt(koffi.address(into)), 16);
  options.writeUInt32LE(frame.length, 24);
  options.writeUInt32LE(into.length, 28);
  const failed = testRun(libbpf().programFd(program), options);
  if (failed !== 0) throw new Error(`the kernel refuses to run the program: ${errnoName(-failed)}`);
  return options.readInt32LE(56);
}

/** How much of a program there is: instructions that the verifier walked, over all paths, and those that the kernel keeps. */
export type ProgramSize = { verified: number; translated: number };

/** Null on kernels before 5.16, which do not count. */
export function programSize(program: ProgramHandle): ProgramSize | null {
  // struct bpf_prog_info: bytes of translated instructions (8 each) at 20, verified_insns at 216.
  const info = Buffer.alloc(232);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(info.length);
  if (libbpf().infoByFd(libbpf().programFd(program), info, length) !== 0)
    throw new Error(`no information about a program: ${errnoName(errno())}`);
  if (length.readUInt32LE() < 220) return null;
  return { verified: info.readUInt32LE(216), translated: info.readUInt32LE(20) / 8 };
}
