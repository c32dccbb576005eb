import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { IpAddress } from '#model/address/ip.ts';
import { WeftError } from '#model/error.ts';
import { replaceFile } from '#platform/files/replace-file.ts';
import { type AddressPool, addressesOf, GATEWAY_HOST } from '#platform/linux/net/address-pool.ts';
import type { SysctlChange } from '#platform/linux/net/sysctl.ts';
import type { SandboxesOptions } from './sandbox.ts';
import { fileNameOf, type SandboxKey } from './sandbox-name.ts';

/** A sandbox on disk. It is written before anything is made, so that whatever a crash leaves is known. */
export type SandboxRecord = SandboxKey & {
  addresses: readonly IpAddress[];
  netnsName: string;
  hostVeth: string;
  state: 'making' | 'ready';
};

/** What was done to the node's own network namespace and cgroups, to be undone. */
export type NodeRecord = {
  /** Of which boot and which network namespace this speaks: in others it means nothing. */
  boot: string;
  netns: string;
  bridge: string;
  pool4: string;
  pool6: string | null;
  sysctls: readonly SysctlChange[];
  /** Cgroups that did not exist before, outermost first. */
  cgroups: readonly string[];
};

/** The files below an agent's run directory that survive its restarts. One writer: the agent. */
export type Records = {
  readAll(): Promise<readonly SandboxRecord[]>;
  read(key: SandboxKey): Promise<SandboxRecord | null>;
  write(record: SandboxRecord): Promise<void>;
  writeResolvConf(key: SandboxKey, text: string): Promise<void>;
  resolvConfPath(key: SandboxKey): string;
  /** Forgets a sandbox: its resolv.conf first, its record last. */
  remove(key: SandboxKey): Promise<void>;
  readNode(): Promise<NodeRecord | null>;
  writeNode(record: NodeRecord): Promise<void>;
  /** Where the search for a free address goes on; 0 at first. */
  readNextHost(): Promise<number>;
  writeNextHost(host: number): Promise<void>;
  /** Removes every file. */
  clear(): Promise<void>;
};

/** The records below `runDir`; folders and files are made when they are first written. */
export function createRecords(runDir: string): Records {
  const folder = join(runDir, 'sandboxes');
  const recordPath = (key: SandboxKey): string => join(folder, `${fileNameOf(key)}.json`);
  const resolvConfPath = (key: SandboxKey): string => join(folder, `${fileNameOf(key)}.resolv.conf`);
  const nodePath = join(runDir, 'sandbox-node.json');
  const nextHostPath = join(runDir, 'sandbox-next-host');
  return {
    async readAll() {
      const names = (await readdir(folder).catch(() => [])).filter((name) => name.endsWith('.json')).sort();
      const records = await Promise.all(names.map(async (name) => parseSandbox(await readJson(join(folder, name)))));
      return records.filter((record) => record !== null);
    },
    read: async (key) => parseSandbox(await readJson(recordPath(key))),
    write: (record) => keep(recordPath(record), JSON.stringify(record)),
    writeResolvConf: (key, text) => keep(resolvConfPath(key), text),
    resolvConfPath,
    async remove(key) {
      await rm(resolvConfPath(key), { force: true });
      await rm(recordPath(key), { force: true });
    },
    readNode: async () => parseNode(await readJson(nodePath)),
    writeNode: (record) => keep(nodePath, JSON.stringify(record)),
    readNextHost: async () => Number.parseInt(await readFile(nextHostPath, 'utf8').catch(() => '0'), 10) || 0,
    writeNextHost: (host) => keep(nextHostPath, String(host)),
    async clear() {
      await rm(folder, { recursive: true, force: true });
      await rm(nextHostPath, { force: true });
      await rm(nodePath, { force: true });
    },
  };
}

/** Null also for text that is cut off: only a power failure does that, and what it spoke of ended with the power. */
async function readJson(path: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(path, 'utf8'));
  } catch (error) {
    if (error instanceof SyntaxError || (error instanceof Error && 'code' in error && error.code === 'ENOENT')) return null;
    throw new WeftError('WEFT_SANDBOX_RECORD', `cannot read ${path}`, {
      remedy: 'check the rights and the disk of the run directory',
      cause: error,
    });
  }
}

function parseSandbox(value: unknown): SandboxRecord | null {
  const record = value as Partial<SandboxRecord> | null; // a file of our own; the names below are what everything depends on
  const texts = [record?.namespace, record?.name, record?.netnsName, record?.hostVeth, record?.state];
  const whole = texts.every((text) => typeof text === 'string') && Array.isArray(record?.addresses);
  return whole ? (record as SandboxRecord) : null;
}

function parseNode(value: unknown): NodeRecord | null {
  const record = value as Partial<NodeRecord> | null;
  const texts = [record?.boot, record?.netns, record?.bridge, record?.pool4];
  const whole =
    texts.every((text) => typeof text === 'string') && Array.isArray(record?.sysctls) && Array.isArray(record?.cgroups);
  return whole ? (record as NodeRecord) : null;
}

/** Workloads read their resolv.conf, whoever they run as. */
const READABLE = 0o644;

/** A reader sees the old text or the new, also after a crash. */
async function keep(path: string, text: string): Promise<void> {
  try {
    await mkdir(dirname(path), { recursive: true });
    await replaceFile(path, text, READABLE);
  } catch (cause) {
    throw new WeftError('WEFT_SANDBOX_RECORD', `cannot write ${path}`, {
      cause,
      remedy: 'free some space where the run directory is (df), or check its rights; what runs goes on',
    });
  }
}

/** What a workload's resolv.conf says: the node's DNS servers or its own gateway, and where short names are looked for. */
export function resolvConf(
  { namespace, name }: SandboxKey,
  pool: AddressPool,
  { nameservers, resolvSearch }: Pick<SandboxesOptions, 'nameservers' | 'resolvSearch'>,
): string {
  const gateway = addressesOf(pool, GATEWAY_HOST).slice(0, 1);
  const search = resolvSearch(namespace);
  const lines = [
    `# Of workload ${namespace}/${name}; written by weft.`,
    ...(nameservers ?? gateway).map((address) => `nameserver ${address}`),
    ...(search.length === 0 ? [] : [`search ${search.join(' ')}`]),
  ];
  return `${lines.join('\n')}\n`;
}
