import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { createNodeCgroup, findCgroup2, removeCgroup } from '#platform/linux/cgroup/cgroup.ts';
import { type Program, Programs, ROOT } from '../e2e/programs.testing.ts';

/** What each machine has before anything runs on it: kernel file systems of its own, and no process but its first. */
const BOOT = `
mount -t proc proc /proc && mount -t sysfs sys /sys && mount -t cgroup2 none /sys/fs/cgroup && mount -t bpf bpf /sys/fs/bpf &&
mount -t tmpfs run /run && mount -t tmpfs dev /dev && mkdir /dev/pts && mount -t devpts -o newinstance,ptmxmode=0666 devpts /dev/pts &&
for node in null:3 zero:5 full:7 random:8 urandom:9; do mknod -m 666 /dev/\${node%:*} c 1 \${node#*:}; done &&
mknod -m 666 /dev/tty c 5 0 && ln -s pts/ptmx /dev/ptmx && ln -s /proc/self/fd /dev/fd &&
ip link set lo up && echo booted && exec sleep 3600`;

/** Debian machines of one kernel: each has its own root, processes, cgroups, network and run directory, and all of them one wire. */
export class Debians {
  readonly #dir = mkdtempSync(join(tmpdir(), 'weft-debian-'));
  readonly #programs = new Programs();
  readonly #cgroups = findCgroup2().then((top) => join(top, basename(this.#dir)));
  readonly #machines = new Map<string, Program>();
  readonly #running = new Map<string, Program>();

  constructor() {
    mkdirSync(join(this.#dir, 'base'));
    execFileSync('tar', ['-C', join(this.#dir, 'base'), '-xf', join(ROOT, 'build/tools/debian.tar')]);
  }

  /** Boots a machine. */
  async boot(name: string): Promise<void> {
    const at = (part: string): string => join(this.#dir, name, part);
    for (const part of ['upper', 'work', 'root']) mkdirSync(at(part), { recursive: true });
    const layers = `lowerdir=${join(this.#dir, 'base')},upperdir=${at('upper')},workdir=${at('work')}`;
    const line = `mount -t overlay overlay -o ${layers} ${at('root')} && exec chroot ${at('root')} sh -c '${BOOT}'`;
    // What is the top of the hierarchy for a machine is one folder of it: no other machine, nor one of an earlier run, has a part in it.
    const cgroup = join(await this.#cgroups, name);
    await createNodeCgroup(cgroup);
    const apart = [
      '--mount',
      '--net',
      '--pid',
      '--cgroup',
      '--uts',
      '--ipc',
      '--fork',
      '--kill-child',
      '--propagation',
      'private',
    ];
    const unshared = `echo $$ > ${cgroup}/cgroup.procs && exec unshare ${apart.join(' ')} "$@"`;
    const machine = this.#programs.start(['sh', '-c', unshared, 'sh', 'sh', '-c', `hostname ${name} && ${line}`]);
    this.#machines.set(name, machine);
    await machine.until(/booted/);
  }

  /** A wire between two machines, with an address of each family at each end. */
  wire(a: string, b: string): void {
    const [pidA, pidB] = [this.#pidOf(a), this.#pidOf(b)];
    const ip = (pid: string, ...args: string[]): void =>
      void execFileSync('nsenter', ['--target', pid, '--net', 'ip', ...args], { stdio: 'pipe' });
    ip(pidA, 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', pidB);
    for (const [pid, end] of [
      [pidA, 1],
      [pidB, 2],
    ] as const) {
      ip(pid, 'addr', 'add', `10.0.0.${end}/24`, 'dev', 'eth0');
      ip(pid, 'addr', 'add', `fd00::${end}/64`, 'dev', 'eth0', 'nodad');
      ip(pid, 'link', 'set', 'eth0', 'up');
    }
  }

  /** Where a machine's file lies for this process. */
  file(machine: string, path: string): string {
    return `/proc/${this.#pidOf(machine)}/root${path}`;
  }

  put(machine: string, from: string, to: string): void {
    mkdirSync(join(this.file(machine, to), '..'), { recursive: true });
    copyFileSync(from, this.file(machine, to));
  }

  /** Runs a line of a shell to its end; what it printed, both streams together. Errors: with that, when it failed. */
  async said(machine: string, line: string): Promise<string> {
    const program = this.#start(machine, line);
    const code = await program.ended;
    if (code !== 0) throw new Error(`${machine}: ${line}\nended with ${code}:\n${program.output()}`);
    return program.output();
  }

  /** Starts a line that stays in the foreground, in a terminal of its own; one that runs already is ended first, and started again. */
  async run(machine: string, line: string): Promise<Program> {
    const key = `${machine}: ${line}`;
    await this.end(key);
    const program = this.#start(machine, `exec ${line}`);
    this.#running.set(key, program);
    return program;
  }

  /** Ctrl-C in the terminal of a line. */
  async end(key: string): Promise<void> {
    const before = this.#running.get(key);
    this.#running.delete(key);
    if (before !== undefined) await this.endProgram(before);
  }

  /** The same for a program that `run` gave. */
  async endProgram(program: Program): Promise<void> {
    const [inner = ''] = childrenOf(program.child.pid ?? -1);
    if (inner !== '') process.kill(Number(inner), 'SIGTERM');
    await program.ended;
  }

  /** The id of a program's process as its machine has it. */
  pidInside(program: Program): number {
    const [inner = ''] = childrenOf(program.child.pid ?? -1);
    const ids = /^NSpid:\s+(.*)$/m.exec(readFileSync(`/proc/${inner}/status`, 'utf8'))?.[1] ?? '';
    return Number(ids.split(/\s+/).pop());
  }

  /** Ends the machines with all that runs on them. */
  async close(): Promise<void> {
    for (const machine of this.#machines.values()) machine.child.kill('SIGKILL');
    await this.#programs.endAll('SIGKILL');
    await removeCgroup(await this.#cgroups);
    rmSync(this.#dir, { recursive: true, force: true });
  }

  #start(machine: string, line: string): Program {
    const into = [
      '--target',
      this.#pidOf(machine),
      '--mount',
      '--net',
      '--pid',
      '--cgroup',
      '--uts',
      '--ipc',
      '--root',
      '--wdns=/root',
    ];
    const environment = [
      'HOME=/root',
      'LANG=C.UTF-8',
      'TERM=dumb',
      'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    ];
    return this.#programs.start(['nsenter', ...into, 'env', '-i', ...environment, 'sh', '-ec', line]);
  }

  /** The first process of a machine, which holds its namespaces. */
  #pidOf(machine: string): string {
    const [pid] = childrenOf(this.#machines.get(machine)?.child.pid ?? -1);
    if (pid === undefined) throw new Error(`machine ${machine} does not run`);
    return pid;
  }
}

/** None of a process that has ended. */
function childrenOf(pid: number): string[] {
  try {
    const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8');
    return text.split(' ').filter((word) => word !== '');
  } catch {
    return [];
  }
}
