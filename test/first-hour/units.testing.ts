import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { listenAsManager } from '#platform/linux/process/service-manager.testing.ts';
import type { Program } from '../e2e/programs.testing.ts';
import type { Debians } from './debian.testing.ts';

/** Instead of what a unit says, so that a test sees some: how long a service may be silent, in microseconds. */
const WATCHDOG_USEC = 600_000;
const WAIT_MS = 15_000;

type Manager = ReturnType<typeof listenAsManager>;
/** `listening`: the kernel keeps a few messages only, so a manager takes them as they come. */
type Running = { program: Program; manager: Manager | null; unit: ReadonlyMap<string, string>; listening: NodeJS.Timeout };
/** How often it does, with the watchdog's messages in mind. */
const LISTEN_MS = 100;

/**
 * Does with the units of the package what systemd would: their conditions, files of variables, command lines, and what the service tells
 * its manager, all as the unit in the machine says. Machines of these tests have no systemd as their first process.
 */
export class Units {
  readonly #debians: Debians;
  readonly #running = new Map<string, Running>();

  constructor(debians: Debians) {
    this.#debians = debians;
  }

  /** A line that begins with systemctl. */
  async systemctl(machine: string, line: string): Promise<void> {
    const [, verb = '', ...names] = line.split(' ').filter((word) => word !== '--now');
    for (const name of names) {
      if (verb === 'disable' || verb === 'stop' || verb === 'restart') await this.#stop(machine, name);
      if (verb === 'enable' || verb === 'start' || verb === 'restart') await this.#start(machine, name);
      if (verb === 'reload') await this.#reload(machine, name);
      assert.match(verb, /^(enable|disable|start|stop|restart|reload)$/, line);
    }
  }

  /** What a service told its manager until now. */
  told(machine: string, name: string): string[] {
    return this.#of(machine, name).manager?.heard() ?? [];
  }

  /** What all of them wrote, which the journal would have. */
  journal(): string {
    return [...this.#running].map(([name, { program }]) => `${name}:\n${program.output()}`).join('\n');
  }

  async #start(machine: string, name: string): Promise<void> {
    const unit = this.#unitOf(machine, name);
    for (const [key, flag] of [
      ['ConditionPathExists', '-e'],
      ['ConditionPathIsDirectory', '-d'],
    ] as const) {
      const path = unit.get(key);
      if (path !== undefined) await this.#debians.said(machine, `test ${flag} ${path}`);
    }
    const variables = this.#variablesOf(machine, unit.get('EnvironmentFile') ?? '-/nowhere');
    const words = (unit.get('ExecStart') ?? '')
      .split(' ')
      .flatMap((word) =>
        word.startsWith('$') ? (variables.get(word.slice(1)) ?? '').split(' ').filter((part) => part !== '') : [word],
      );
    const notifies = unit.get('Type') === 'notify';
    const socket = `/run/notify-${name}`;
    const manager = notifies ? listenAsManager(this.#debians.file(machine, socket)) : null;
    const told = notifies ? [`NOTIFY_SOCKET=${socket}`, `WATCHDOG_USEC=${unit.has('WatchdogSec') ? WATCHDOG_USEC : 0}`] : [];
    const program = await this.#debians.run(machine, ['env', ...told, ...words].map(quoted).join(' '));
    const listening = setInterval(() => manager?.heard(), LISTEN_MS).unref();
    this.#running.set(`${machine} ${name}`, { program, manager, unit, listening });
    if (notifies) await this.#hears(machine, name, (messages) => messages.includes('READY=1'));
  }

  async #reload(machine: string, name: string): Promise<void> {
    const { unit, program } = this.#of(machine, name);
    const before = this.told(machine, name).length;
    const pid = this.#debians.pidInside(program);
    await this.#debians.said(machine, `export MAINPID=${pid}; ${unit.get('ExecReload') ?? 'false'}`);
    await this.#hears(machine, name, (messages) => {
      const news = messages.slice(before);
      const began = news.findIndex((message) => message.startsWith('RELOADING=1\nMONOTONIC_USEC='));
      return began >= 0 && news.indexOf('READY=1', began) > began;
    });
  }

  /** As systemd does, whichever processes it would signal: the first is asked, and comes to its end in order. */
  async #stop(machine: string, name: string): Promise<void> {
    const { program, manager, listening } = this.#of(machine, name);
    await this.#debians.endProgram(program);
    assert.ok([0, 143].includes((await program.ended) ?? -1), `${name} ended with ${await program.ended}: ${program.output()}`);
    if (manager !== null) assert.ok(manager.heard().includes('STOPPING=1'), `${name} did not say that it stops`);
    clearInterval(listening);
    manager?.close();
    this.#running.delete(`${machine} ${name}`);
    if (manager !== null) await this.#debians.said(machine, `rm /run/notify-${name}`);
  }

  async #hears(machine: string, name: string, enough: (messages: readonly string[]) => boolean): Promise<void> {
    const { program } = this.#of(machine, name);
    const deadline = performance.now() + WAIT_MS;
    while (!enough(this.told(machine, name))) {
      const over = program.child.exitCode !== null || performance.now() > deadline;
      if (over) throw new Error(`${name} told only ${JSON.stringify(this.told(machine, name))}:\n${program.output()}`);
      await sleep(20);
    }
  }

  #of(machine: string, name: string): Running {
    const running = this.#running.get(`${machine} ${name}`);
    assert.ok(running, `${name} does not run on ${machine}`);
    return running;
  }

  /** The settings of a unit; of its file as the package installed it, with the instance's name in it. */
  #unitOf(machine: string, name: string): Map<string, string> {
    const [template, instance = ''] = name.split('@');
    const file = `/usr/lib/systemd/system/${template}${name.includes('@') ? '@' : ''}.service`;
    const text = readFileSync(this.#debians.file(machine, file), 'utf8').replaceAll('%i', instance);
    return settingsOf(text);
  }

  #variablesOf(machine: string, file: string): Map<string, string> {
    try {
      return settingsOf(readFileSync(this.#debians.file(machine, file.replace(/^-/, '')), 'utf8'));
    } catch (error) {
      if (file.startsWith('-')) return new Map();
      throw error;
    }
  }
}

function settingsOf(text: string): Map<string, string> {
  const lines = text.split('\n').filter((line) => /^[A-Za-z]+=/.test(line));
  return new Map(lines.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]));
}

function quoted(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}
