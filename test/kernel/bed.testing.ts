import assert from 'node:assert/strict';
import { type ChildProcessByStdio, execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { releaseBpffs } from '#platform/bpf/bpffs.ts';
import { removePins } from '#platform/bpf/pins.ts';
import type { LinkEnd } from '#testbed/nodes/plan.ts';
import { addressCommands, type CommandLine, namespaceCommands, portCommands, switchCommands } from '#testbed/nodes/wiring.ts';

export const OBJECTS_DIR = new URL('../../build/bpf', import.meta.url).pathname;

const APPS_DIR = new URL('./apps/', import.meta.url).pathname;

export type App = {
  process: ChildProcessByStdio<Writable, Readable, null>;
  /** The next line the app prints. */
  line(): Promise<string>;
  send(text: string): void;
};

/** The line-driven client, as tests speak to it. */
export class Caller {
  readonly #app: App;

  constructor(app: App) {
    this.#app = app;
  }

  /** What the connect came to: "connected REMOTE PORT LOCAL PORT" or "error CODE". */
  dial(host: string, port = 80): Promise<string> {
    this.#app.send(`connect ${host} ${port}`);
    return this.#app.line();
  }

  /** The answer to some bytes. */
  say(text: string): Promise<string> {
    this.#app.send(`send ${text}`);
    return this.#app.line();
  }

  /** The next thing that happens to the connection. */
  line(): Promise<string> {
    return this.#app.line();
  }

  /** Ends the connection that is open. */
  async hangUp(): Promise<void> {
    this.#app.send('close');
    assert.equal(await this.#app.line(), 'closed');
  }

  /** A dial that must fail; returns the errno. A reset may come before or after the news of the connection. */
  async refused(host: string, port = 80): Promise<string> {
    const first = await this.dial(host, port);
    const error = first.startsWith('connected') ? await this.line() : first;
    assert.equal(await this.line(), 'closed');
    return error.replace('error ', '');
  }
}

/** A namespace of a bed; `link`: its place on the switch. */
export type BedHost = { netnsPath: string; name: string; ip4: string; ip6: string; link: { device: string; mac: string } };

/** Two or more namespaces on one link, a cgroup and a bpffs of their own; everything goes with down(). */
export class Bed {
  /** Names everything a bed makes; the process id tells a later run whether its owner is gone. */
  readonly id = `${process.pid}-${randomBytes(2).toString('hex')}`;
  readonly dir = mkdtempSync(join(tmpdir(), `weft-bed-${process.pid}-`));
  readonly cgroup: string;
  readonly bpffs: string;
  readonly pinDir: string;
  readonly #switch: LinkEnd;
  readonly #namespaces: string[] = [];
  readonly #apps: App[] = [];

  constructor() {
    sweepDeadBeds();
    this.cgroup = join(cgroup2Mount(), `weft-bed-${this.id}`);
    this.bpffs = join(this.dir, 'bpf');
    this.pinDir = join(this.bpffs, 'node');
    mkdirSync(this.cgroup);
    this.#switch = { netns: `weft-bed-${this.id}-sw`, device: 'sw' };
    this.#namespaces.push(this.#switch.netns);
    runAll([...namespaceCommands(this.#switch.netns), ...switchCommands(this.#switch)]);
  }

  /** Where the switch is, by which the host's ends of all links are reached. */
  get switchPath(): string {
    return `/run/netns/${this.#switch.netns}`;
  }

  /** Adds a namespace with addresses 10.77.0.<n> and fd77::<n>. */
  host(n: number): BedHost {
    const name = `weft-bed-${this.id}-${n}`;
    const [ip4, ip6] = [`10.77.0.${n}`, `fd77::${n}`];
    const end = { netns: name, device: 'eth0' };
    this.#namespaces.push(name);
    runAll([
      ...namespaceCommands(name),
      ...portCommands(this.#switch, `h${n}`, end),
      ...addressCommands(end, `${ip4}/24`, `${ip6}/64`),
    ]);
    const shown = execFileSync('ip', ['-n', name, '-j', 'link', 'show', 'eth0'], { encoding: 'utf8' });
    const [{ address: mac = '' } = {}] = JSON.parse(shown) as { address?: string }[];
    return { netnsPath: `/run/netns/${name}`, name, ip4, ip6, link: { device: `h${n}`, mac } };
  }

  /** Runs one of the apps in a namespace; `captured`: inside the bed's cgroup. */
  app(
    netnsPath: string,
    name:
      | 'echo-server'
      | 'line-client'
      | 'crowd-client'
      | 'deferring-server'
      | 'datagram-client'
      | 'socket-client'
      | 'connect-loop'
      | 'binder'
      | 'datagram-greeter'
      | 'datagram-tally'
      | 'address-greeter'
      | 'greeter'
      | 'frank-server'
      | 'resolve-client'
      | 'tally-client'
      | 'teller-server'
      | 'teller-client',
    { port = 0, captured = true, targets = [] as readonly string[] } = {},
  ): App {
    const program = [process.execPath, join(APPS_DIR, `${name}.ts`), String(port), ...targets];
    const inside = ['nsenter', `--net=${netnsPath}`, ...program];
    const command = captured ? ['sh', '-c', 'echo 0 > "$0/cgroup.procs" && exec "$@"', this.cgroup, ...inside] : inside;
    const [file = '', ...args] = command;
    const child = spawn(file, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    const app = { process: child, line: lineReader(child.stdout), send: (text: string) => void child.stdin.write(`${text}\n`) };
    this.#apps.push(app);
    return app;
  }

  /** Runs a client and waits until it can be spoken to. */
  async caller(netnsPath: string, captured = true): Promise<Caller> {
    const app = this.app(netnsPath, 'line-client', { captured });
    assert.equal(await app.line(), 'ready');
    return new Caller(app);
  }

  /** Runs an attacker's sockets; the result is what each line comes to. */
  async attacker(netnsPath: string, captured = true): Promise<(line: string) => Promise<string>> {
    const app = this.app(netnsPath, 'socket-client', { captured });
    assert.equal(await app.line(), 'ready');
    return (line) => {
      app.send(line);
      return app.line();
    };
  }

  async down(): Promise<void> {
    for (const { process: child } of this.#apps) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const ended = new Promise((resolve) => child.once('close', resolve));
      child.kill('SIGKILL');
      await ended;
    }
    removePins(this.pinDir);
    releaseBpffs(this.bpffs);
    for (const name of this.#namespaces.splice(0)) runAll([['ip', 'netns', 'del', name]]);
    rmdirSync(this.cgroup);
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** Removes what test processes left that were killed before they could tidy up. */
function sweepDeadBeds(): void {
  const dead = (name: string): boolean => {
    const pid = /^weft-bed-(\d+)-/.exec(name)?.[1];
    return pid !== undefined && !existsSync(`/proc/${pid}`);
  };
  const named = (directory: string): string[] => (existsSync(directory) ? readdirSync(directory).filter(dead) : []);
  for (const name of named(cgroup2Mount())) {
    const cgroup = join(cgroup2Mount(), name);
    writeFileSync(join(cgroup, 'cgroup.kill'), '1');
    execFileSync('sh', ['-c', 'while [ -d "$0" ] && ! rmdir "$0" 2>/dev/null; do sleep 0.05; done', cgroup]);
  }
  for (const name of named('/run/netns')) runAll([['ip', 'netns', 'del', name]]);
  for (const name of named(tmpdir())) {
    const bpffs = join(tmpdir(), name, 'bpf');
    removePins(join(bpffs, 'node'));
    releaseBpffs(bpffs);
    rmSync(join(tmpdir(), name), { recursive: true, force: true });
  }
}

function runAll(lines: readonly CommandLine[]): void {
  for (const [program = '', ...args] of lines) execFileSync(program, args, { stdio: ['ignore', 'ignore', 'pipe'] });
}

function cgroup2Mount(): string {
  const line = readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .find((one) => one.split(' ')[2] === 'cgroup2');
  const path = line?.split(' ')[1];
  if (path === undefined) throw new Error('no cgroup v2 mount');
  return path;
}

function lineReader(stream: Readable): () => Promise<string> {
  const lines: string[] = [];
  const waiting: ((line: string) => void)[] = [];
  let rest = '';
  const give = (line: string): void => {
    const next = waiting.shift();
    if (next === undefined) lines.push(line);
    else next(line);
  };
  stream.setEncoding('utf8');
  stream.on('data', (chunk: string) => {
    const parts = (rest + chunk).split('\n');
    rest = parts.pop() ?? '';
    for (const line of parts) give(line);
  });
  stream.on('end', () => {
    for (;;) {
      const next = waiting.shift();
      if (next === undefined) return;
      next('<end>');
    }
  });
  return () => {
    const ready = lines.shift();
    return ready !== undefined ? Promise.resolve(ready) : new Promise((resolve) => waiting.push(resolve));
  };
}
