import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { REPORT } from '#model/settings/reports.ts';
import { missingFeatures } from '#platform/bpf/features.ts';
import { runCommand } from '#platform/linux/process/command.ts';
import { argumentsOf } from '#platform/linux/process/processes.ts';

/** A fact for a report by the path it has there; `read` fails with the reason why it cannot be told. */
export type Fact = { path: string; read(): string | Promise<string> };

/** Files of the kernel that are told as they are. */
const KERNEL_FILES = {
  'kernel/version.txt': '/proc/version',
  'kernel/distribution.txt': '/etc/os-release',
  'kernel/memory.txt': '/proc/meminfo',
  'kernel/load.txt': '/proc/loadavg',
} as const;

/** What decides about forwarding, ports, and eBPF. */
const SYSCTLS = [
  'net/ipv4/ip_forward',
  'net/ipv4/ip_local_port_range',
  'net/ipv4/conf/all/rp_filter',
  'net/ipv6/conf/all/disable_ipv6',
  'net/ipv6/conf/all/forwarding',
  'net/core/bpf_jit_enable',
  'net/core/somaxconn',
  'kernel/unprivileged_bpf_disabled',
  'user/max_net_namespaces',
] as const;

/** What the network is asked. */
const NETWORK = {
  'network/addresses.txt': ['ip', '-details', 'address'],
  'network/routes4.txt': ['ip', '-4', 'route', 'show', 'table', 'all'],
  'network/routes6.txt': ['ip', '-6', 'route', 'show', 'table', 'all'],
  'network/rules.txt': ['ip', 'rule'],
  'network/namespaces.txt': ['ip', 'netns', 'list'],
  'network/listeners.txt': ['ss', '-lntup'],
  'network/tables.txt': ['nft', 'list', 'tables'],
} as const;

/** Facts about the kernel and the network of this machine, and what Weft has in the kernel. */
export function machineFacts(bpffs: string): Fact[] {
  return [
    ...Object.entries(KERNEL_FILES).map(([path, file]) => ({ path, read: () => readFileSync(file, 'utf8') })),
    { path: 'kernel/sysctls.txt', read: () => SYSCTLS.map((name) => `${name} = ${sysctl(name)}\n`).join('') },
    { path: 'kernel/mounts.txt', read: () => linesWith(readFileSync('/proc/self/mounts', 'utf8'), / (bpf|cgroup2?|overlay) /) },
    { path: 'bpf/missing-features.json', read: () => JSON.stringify(missingFeatures(), null, 2) },
    { path: 'bpf/pins.txt', read: () => pinsBelow(join(bpffs, 'weft')).join('\n') },
    ...Object.entries(NETWORK).map(([path, command]) => ({ path, read: () => outputOf(command) })),
  ];
}

/** Facts about a part that runs: its command line, limits and state, and the eBPF maps, programs and links that it holds. */
export function partFacts(name: string, pid: number): Fact[] {
  const path = `parts/${name.replaceAll('/', '.')}`;
  const file = (entry: string): string => readFileSync(`/proc/${pid}/${entry}`, 'utf8');
  return [
    {
      path: `${path}.txt`,
      read: () => [argumentsOf(pid).join(' '), file('status'), file('limits'), file('cgroup')].join('\n'),
    },
    { path: `${path}.bpf.txt`, read: () => heldObjects(pid).join('\n\n') },
  ];
}

function sysctl(name: string): string {
  try {
    return readFileSync(`/proc/sys/${name}`, 'utf8').trim();
  } catch {
    return 'not there';
  }
}

function linesWith(text: string, wanted: RegExp): string {
  return text
    .split('\n')
    .filter((line) => wanted.test(line))
    .join('\n');
}

/** Errors: those of the directory. */
function pinsBelow(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .map(({ parentPath, name }) => join(parentPath, name))
    .sort();
}

/** What the kernel says of each eBPF object that a process has a descriptor of. Errors: those of /proc. */
function heldObjects(pid: number): string[] {
  const descriptors = readdirSync(`/proc/${pid}/fd`).slice(0, REPORT.descriptorsMax);
  return descriptors.flatMap((descriptor) => {
    try {
      const kind = readlinkSync(`/proc/${pid}/fd/${descriptor}`);
      return kind.includes('bpf') ? [`${kind}\n${readFileSync(`/proc/${pid}/fdinfo/${descriptor}`, 'utf8').trim()}`] : [];
    } catch {
      return []; // closed since
    }
  });
}

async function outputOf([program = '', ...args]: readonly string[]): Promise<string> {
  const result = await runCommand(program, args);
  if (result.kind === 'done') return result.stdout;
  throw new Error(result.kind === 'missing' ? `${program} is not installed` : result.stderr);
}
