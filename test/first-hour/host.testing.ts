import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Program, Programs, WEFT } from '../e2e/programs.testing.ts';
import { cgroupTree } from './own-cgroups.testing.ts';

/** A service for whatever has the label app=web. */
const SERVICE = `
apiVersion: v1
kind: Service
metadata: { name: web, namespace: default }
spec: { selector: { app: web }, ports: [{ name: http, port: 80, targetPort: 8080 }] }
`;

/** Where a host with mounts of its own keeps its mesh: what is small there, a test can fill. */
const SMALL_RUN = '/run';

/**
 * A machine with one mesh, in a network namespace of its own: what a person has in the first hour. `smallDisks`: it has mounts of its own,
 * too, and /run and the state directory are disks of so many bytes each.
 */
export class Host {
  readonly root = mkdtempSync(join(tmpdir(), 'weft-first-hour-'));
  readonly node = `hour-${randomBytes(3).toString('hex')}`;
  readonly config = join(this.root, 'mesh');
  readonly runDir: string;
  readonly stateDir = join(this.root, 'state');
  readonly programs = new Programs();
  readonly #smallDisks: number | null;
  #namespace: Program | null = null;

  constructor({ smallDisks = null }: { smallDisks?: number | null } = {}) {
    this.#smallDisks = smallDisks;
    this.runDir = smallDisks === null ? join(this.root, 'run') : join(SMALL_RUN, 'weft');
    mkdirSync(this.config);
    writeFileSync(join(this.config, 'web.yaml'), SERVICE);
  }

  get agentSocket(): string {
    return join(this.runDir, this.node, 'agent.sock');
  }

  /** The options that name this mesh. */
  get place(): string[] {
    return ['--run-dir', this.runDir, '--state-dir', this.stateDir];
  }

  /** Starts a command in the host's network namespace. */
  async start(...command: string[]): Promise<Program> {
    this.#namespace ??= this.programs.start([
      ...['unshare', '--net', ...(this.#smallDisks === null ? [] : ['--mount', '--propagation', 'private'])],
      ...['sh', '-c', `${this.#disks()}ip link set lo up && echo ready && exec sleep 1000`],
    ]);
    await this.#namespace.until(/ready/);
    const place = `/proc/${this.#namespace.child.pid}/ns`;
    const mounts = this.#smallDisks === null ? [] : [`--mount=${place}/mnt`];
    return this.programs.start(['nsenter', `--net=${place}/net`, ...mounts, '--', ...command]);
  }

  #disks(): string {
    if (this.#smallDisks === null) return '';
    mkdirSync(this.stateDir);
    return [SMALL_RUN, this.stateDir].map((path) => `mount -t tmpfs -o size=${this.#smallDisks} none ${path} && `).join('');
  }

  weft(...args: string[]): Promise<Program> {
    return this.start(WEFT, ...args);
  }

  /** Runs a command to its end, which has to be a good one; what it printed, by lines. */
  async lines(...command: string[]): Promise<string[]> {
    const program = await this.start(...command);
    const code = await program.ended;
    if (code !== 0) throw new Error(`${command.join(' ')} ended with ${code}: ${program.output()}`);
    return program.output().trimEnd().split('\n');
  }

  /** Runs `weft` to its end. */
  async said(...args: string[]): Promise<{ code: number | null; text: string }> {
    const program = await this.weft(...args);
    return { code: await program.ended, text: program.output() };
  }

  /** Runs `weft up`, and returns once the mesh is up. */
  async up(...more: string[]): Promise<Program> {
    const up = await this.weft('up', this.config, '--node', this.node, ...this.place, ...more);
    await up.until(/The mesh is up/);
    return up;
  }

  /** Starts a workload of the mesh. */
  run(name: string, command: readonly string[], ...options: string[]): Promise<Program> {
    return this.weft(
      'run',
      ...['--user', 'root'],
      '--agent-socket',
      this.agentSocket,
      '--name',
      name,
      '--service-account',
      name,
      ...options,
      '--',
      ...command,
    );
  }

  /** Ends all of it. Errors: something of the node is left, of which the others of this kernel would know. */
  async close(): Promise<void> {
    const { code, text } = await this.said('uninstall', '--yes', ...this.place);
    await this.programs.endAll('SIGTERM');
    rmSync(this.root, { recursive: true, force: true });
    const left = ['/run/netns', '/run/weft-nodes', '/sys/fs/bpf/weft', join(cgroupTree(), 'weft')].flatMap((folder) =>
      (existsSync(folder) ? readdirSync(folder) : [])
        .filter((name) => name.includes(this.node))
        .map((name) => join(folder, name)),
    );
    assert.deepEqual({ code, left }, { code: 0, left: [] }, text);
  }
}
