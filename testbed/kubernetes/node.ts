import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Child, startChild } from '#testbed/processes/child.ts';
import { type CommandResult, command, tryCommand } from '#testbed/processes/command.ts';
import { inCgroup } from '#testbed/processes/command-lines.ts';
import { waitUntil } from '#testbed/processes/wait.ts';

/** All that a node has of its own. */
export const NAMESPACES: readonly string[] = ['--net', '--mount', '--uts', '--ipc', '--pid', '--cgroup'];
const START_MS = 10_000;
const RUN_MS = 60_000;
const STOP_MS = 10_000;

/** A node of a cluster. `pid` is its first process, as this machine sees it. */
export type NodePlace = { name: string; address: string; podCidr: string; pid: number; dir: string; cgroups: readonly string[] };

/** Where a node's own folder and the logs of its programs are, and how to run commands on it. */
export class ClusterNode {
  readonly place: NodePlace;

  constructor(place: NodePlace) {
    this.place = place;
  }

  get name(): string {
    return this.place.name;
  }

  get address(): string {
    return this.place.address;
  }

  /** The command as a shell on this node would run it: in its namespaces and its cgroup. */
  line(words: readonly string[]): string[] {
    const enter = ['nsenter', '--target', String(this.place.pid), ...NAMESPACES, '--', ...words];
    return inCgroups(this.place.cgroups, enter);
  }

  /** What the command prints. Errors: when it fails. */
  run(...words: string[]): Promise<string> {
    return command(this.line(words), RUN_MS);
  }

  /** The same, whatever its exit code. */
  tryRun(...words: string[]): Promise<CommandResult> {
    return tryCommand(this.line(words), RUN_MS);
  }

  /** Starts a program that goes on; it ends with the node. Errors: when it does not start. */
  async start(name: string, words: readonly string[], env: Record<string, string> = {}): Promise<NodeProcess> {
    const line = ['setpriv', '--pdeathsig', 'KILL', '--', ...this.line(words)];
    return NodeProcess.of(startChild({ name, command: line, logPath: join(this.place.dir, 'log', `${name}.log`) }, env));
  }

  /** Ends everything on it, as when the power goes. */
  kill(): void {
    try {
      process.kill(this.place.pid, 'SIGKILL');
    } catch {
      // It has ended by itself.
    }
  }

  /** The node's file at `path`, read as the node sees it. */
  file(path: string): Promise<string> {
    return this.run('cat', path);
  }
}

/** A program on a node: what was started is nsenter, which waits for it. */
export class NodeProcess {
  readonly #child: Child;
  /** As this machine sees it. */
  readonly pid: number;

  static async of(child: Child): Promise<NodeProcess> {
    const pid = await waitUntil(`process ${child.name}`, START_MS, async () => {
      if (child.ending() !== null) throw new Error(`it has ended: read ${child.logPath}`);
      return childOf(child.pid, 'nsenter');
    });
    return new NodeProcess(child, pid);
  }

  private constructor(child: Child, pid: number) {
    this.#child = child;
    this.pid = pid;
  }

  get logPath(): string {
    return this.#child.logPath;
  }

  isRunning(): boolean {
    return this.#child.ending() === null;
  }

  signal(name: NodeJS.Signals): void {
    if (this.isRunning()) process.kill(this.pid, name);
  }

  /** SIGTERM, after ten seconds SIGKILL; returns its exit code when it has ended. */
  async stop(): Promise<number | null> {
    this.signal('SIGTERM');
    const timer = setTimeout(() => this.signal('SIGKILL'), STOP_MS);
    const { code } = await this.#child.ended;
    clearTimeout(timer);
    return code;
  }
}

/** The command, run in all of these cgroups. */
export function inCgroups(cgroups: readonly string[], line: readonly string[]): string[] {
  return cgroups.reduce<string[]>((all, cgroup) => inCgroup(cgroup, all), [...line]);
}

/** What a process has become by now. */
export async function programOf(pid: number): Promise<string> {
  return (await readFile(`/proc/${pid}/comm`, 'utf8')).trim();
}

/** The first child of a process that has become `program`; null before. */
export async function childOf(pid: number, program: string): Promise<number | null> {
  if ((await programOf(pid)) !== program) return null;
  const [child] = (await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')).trim().split(' ').filter(Boolean);
  return child === undefined ? null : Number(child);
}
