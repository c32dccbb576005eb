import { readdirSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { MachineFacts } from '#model/check/machine.ts';
import { isBpffs } from '#platform/bpf/bpffs.ts';
import { missingFeatures } from '#platform/bpf/features.ts';
import { findProgram } from '#platform/linux/process/command.ts';
import { descriptorsMax } from '#platform/linux/process/processes.ts';

/** Fixed by the kernel: numbers of the capabilities that an agent uses. Source: linux/capability.h. */
const CAPABILITIES = { CAP_SETGID: 6, CAP_SETUID: 7, CAP_NET_ADMIN: 12, CAP_SYS_ADMIN: 21 } as const;

/** What an agent runs. */
const PROGRAMS = [
  { name: 'ip', packageName: 'iproute2', loss: null },
  { name: 'nsenter', packageName: 'util-linux', loss: null },
  { name: 'unshare', packageName: 'util-linux', loss: null },
  { name: 'setpriv', packageName: 'util-linux', loss: null },
  { name: 'mount', packageName: 'mount', loss: null },
  {
    name: 'nft',
    packageName: 'nftables',
    loss: 'workloads reach hosts outside the mesh only if those know a route back',
  },
] as const;

/** What a machine offers. `agents`: processes whose limits count, too. */
export function surveyMachine(bpffs: string, agents: readonly { who: string; pid: number }[]): MachineFacts {
  const lacksCapabilities = process.geteuid?.() === 0 ? missingCapabilities() : [];
  return {
    features: process.geteuid?.() === 0 && lacksCapabilities.length === 0 ? kernelFeatures() : null,
    lacksCapabilities,
    lacksPrograms: PROGRAMS.filter(({ name, packageName }) => !isInstalled(name, packageName)),
    bpffs: { path: bpffs, state: bpffsState(bpffs) },
    jit: readOrNull('/proc/sys/net/core/bpf_jit_enable'),
    openFiles: [{ who: 'a process started here', pid: process.pid }, ...agents].flatMap(({ who, pid }) => {
      const limits = readOrNull(`/proc/${pid}/limits`);
      return limits === null ? [] : [{ who, max: descriptorsMax(limits) }];
    }),
    memoryBytes: availableMemory(readOrNull('/proc/meminfo')),
  };
}

/** None where libbpf is missing: that is told by itself. */
function kernelFeatures(): MachineFacts['features'] {
  try {
    return missingFeatures();
  } catch {
    return null;
  }
}

function missingCapabilities(): string[] {
  const [, hex] = /^CapEff:\s*([0-9a-f]+)/m.exec(readOrNull('/proc/self/status') ?? '') ?? [];
  if (hex === undefined) return [];
  const held = BigInt(`0x${hex}`);
  return Object.entries(CAPABILITIES).flatMap(([name, bit]) => ((held >> BigInt(bit)) & 1n ? [] : [name]));
}

function isInstalled(name: string, packageName: string): boolean {
  try {
    findProgram(name, packageName);
    return true;
  } catch {
    return false;
  }
}

/** An empty directory, or one that is to be made, is mounted by the agent. */
function bpffsState(path: string): MachineFacts['bpffs']['state'] {
  if (isBpffs(path)) return 'bpffs';
  try {
    return readdirSync(path).length === 0 ? 'mountable' : 'occupied';
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : '';
    if (code === 'ENOENT' && path !== '/') return bpffsState(dirname(path)) === 'unmountable' ? 'unmountable' : 'mountable';
    return code === 'EACCES' ? 'mountable' : 'unmountable'; // who may not look is told to be root
  }
}

function availableMemory(meminfo: string | null): number | null {
  const [, kibibytes] = /^MemAvailable:\s+(\d+) kB/m.exec(meminfo ?? '') ?? [];
  return kibibytes === undefined ? null : Number(kibibytes) * 1_024;
}

function readOrNull(path: string): string | null {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return null;
  }
}
