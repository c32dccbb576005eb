import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { SILENT_LOG } from '#model/effects/log.ts';
import { findCgroup2 } from '#platform/linux/cgroup/cgroup.ts';
import { launchIn } from './launch.ts';
import type { Sandbox, SandboxesOptions } from './sandbox.ts';
import { slugOf } from './sandbox-name.ts';
import { createSandboxes, type Sandboxes } from './sandboxes.ts';

const MARK = 'WEFT_TEST_OWN_NETNS';
const CHILD_LIMIT_MS = 120_000;

/**
 * Runs the tests of a file in a network namespace of their own, as a node's agent would run in one: the machine's is left
 * alone. Outside of it there is one test, which starts the file again inside and fails with its output.
 */
export function inOwnNetns(fileUrl: string, define: () => void): void {
  if (process.env[MARK] === '1') {
    execFileSync('ip', ['link', 'set', 'lo', 'up']);
    define();
    return;
  }
  test('in a network namespace of its own', { skip: whatIsMissing() }, async () => {
    const { NODE_TEST_CONTEXT: _, ...env } = process.env;
    const argv = ['--net', process.execPath, fileURLToPath(fileUrl)];
    const child = spawn('unshare', argv, {
      env: { ...env, [MARK]: '1' },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: CHILD_LIMIT_MS,
    });
    const output: Buffer[] = [];
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => output.push(chunk));
    // What hung may have children that hold the output open: its end is not waited for.
    child.on('exit', (_, signal) => signal !== null && [child.stdout, child.stderr].map((stream) => stream.destroy()));
    const end = await new Promise<number | NodeJS.Signals | null>((resolve) =>
      child.on('close', (status, signal) => resolve(signal ?? status)),
    );
    assert.equal(end, 0, `the tests inside failed (${end}):\n${Buffer.concat(output).toString()}`);
  });
}

function whatIsMissing(): string | false {
  if (process.getuid?.() !== 0) return 'root is needed to make network namespaces';
  const programs = ['ip', 'nsenter', 'unshare'].filter(
    (program) => !['/usr/sbin', '/usr/bin', '/sbin', '/bin'].some((folder) => existsSync(join(folder, program))),
  );
  return programs.length === 0 ? false : `not installed: ${programs.join(', ')}`;
}

let nodes = 0;

/** A node that nobody else has, with a run directory and a cgroup of its own; `clean` removes all of it. */
export async function testNode(changes: Partial<SandboxesOptions> = {}) {
  const node = `test-${process.pid}-${nodes++}`;
  const runDir = await mkdtemp(join(tmpdir(), 'weft-sandbox-'));
  const cgroupRoot = join(await findCgroup2(), `weft-${node}`);
  const options: SandboxesOptions = {
    node,
    runDir,
    cgroupRoot,
    pool4: '10.41.1.0/24',
    pool6: 'fd41:1::/64',
    bridge: `wftest${nodes}`,
    resolvSearch: (namespace) => [`${namespace}.svc.cluster.local`, 'cluster.local'],
    nameservers: null,
    uplinks: null,
    egressNat: null,
    mtuBytes: null,
    log: SILENT_LOG,
    ...changes,
  };
  const sandboxes = createSandboxes(options);
  return {
    options,
    sandboxes,
    /** As a restarted agent has them. */
    again: (more: Partial<SandboxesOptions> = {}): Sandboxes => createSandboxes({ ...options, ...more }),
    async clean() {
      await createSandboxes(options).removeNode();
      await rm(runDir, { recursive: true });
    },
  };
}

/** What a node could leave behind: its namespaces, every interface here, its cgroups. */
export function traces({ node, cgroupRoot }: { node: string; cgroupRoot: string }) {
  const namespaces = execFileSync('ip', ['netns', 'list'], { encoding: 'utf8' }).split('\n');
  const links: { ifname: string }[] = JSON.parse(execFileSync('ip', ['-j', 'link', 'show'], { encoding: 'utf8' }));
  const cgroups = existsSync(cgroupRoot)
    ? execFileSync('find', [cgroupRoot, '-type', 'd'], { encoding: 'utf8' }).trim().split('\n')
    : [];
  return {
    namespaces: namespaces.filter((line) => line.startsWith(`weft-${slugOf(node)}-`)).map((line) => line.split(' ')[0]),
    links: links.map(({ ifname }) => ifname).sort(),
    cgroups: cgroups.map((path) => path.slice(cgroupRoot.length)).sort(),
  };
}

export type Finished = { status: number | null; signal: string | null; stdout: string; stderr: string };

/** Runs a command in a sandbox to its end. */
export async function runIn(
  sandbox: Sandbox,
  argv: readonly string[],
  changes: Partial<Parameters<typeof launchIn>[2]> = {},
): Promise<Finished> {
  const options = { env: process.env, cwd: '/', mountResolvConf: false, rights: null };
  const child = launchIn(sandbox, argv, { ...options, stdio: ['ignore', 'pipe', 'pipe'], ...changes });
  const [stdout, stderr]: [Buffer[], Buffer[]] = [[], []];
  child.stdout?.on('data', (chunk: Buffer) => stdout.push(chunk));
  child.stderr?.on('data', (chunk: Buffer) => stderr.push(chunk));
  return new Promise((resolve) => {
    child.on('close', (status, signal) =>
      resolve({ status, signal, stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString() }),
    );
  });
}

/** Starts a TCP server in a sandbox that tells each client the address it came from; `stop` ends it. */
export async function startEcho(sandbox: Sandbox, port: number) {
  const script = `require('net').createServer((s) => s.end(s.remoteAddress.replace('::ffff:', ''))).listen(${port}, '::', () => console.log('ready'))`;
  const child = launchIn(sandbox, [process.execPath, '-e', script], {
    env: process.env,
    cwd: '/',
    mountResolvConf: false,
    rights: null,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  await new Promise<void>((resolve, reject) => {
    child.stdout?.once('data', () => resolve());
    child.once('close', () => reject(new Error('the server ended')));
  });
  return {
    pid: child.pid ?? 0,
    async stop() {
      child.kill('SIGKILL');
      await ended;
    },
  };
}

/** What a client in the sandbox is told by the server at that address, or its error code. */
export async function askEcho(sandbox: Sandbox, address: string, port: number): Promise<string> {
  const script = `
    const s = require('net').connect({ host: process.argv[1], port: ${port}, timeout: 5000 });
    s.on('data', (d) => process.stdout.write(String(d)));
    s.on('error', (e) => process.stdout.write(e.code));
    s.on('timeout', () => { process.stdout.write('timeout'); s.destroy(); });`;
  return (await runIn(sandbox, [process.execPath, '-e', script, address])).stdout;
}
