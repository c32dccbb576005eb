import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, rm, stat } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { WeftError } from '#model/error.ts';
import { NODE_FLAGS } from '#platform/program/installation.ts';

const ROOT = join(import.meta.dirname, '../..');
/** Fixed by Linux: what a tick of /proc is worth on every machine that Node.js runs on. */
const TICK_MS = 10;
const KIB_PER_MIB = 1_024;
/** How often it is looked whether something has come about. */
const LOOK_MS = 5;

/** What a control plane has used since it began; for how long its loop stood still since the last look, and the CPU of its longest turn. */
export type Usage = { cpuMs: number; rssMib: number; peakMib: number; stallMs: number; turnMs: number };

/** A control plane in a process of its own, from the bundle as it is shipped, with a probe that tells how long its event loop stands still. */
export class MeasuredControl {
  readonly address: string;
  readonly #dir: string;
  readonly #process: ChildProcess;

  /** `dir` holds the mesh in `mesh/`; everything else that the control plane needs is made beside it. */
  constructor(dir: string, port: number) {
    this.#dir = dir;
    this.address = `127.0.0.1:${port}`;
    const paths = ['--config', join(dir, 'mesh'), '--state-dir', join(dir, 'state'), '--socket', this.#socket];
    const program = [...NODE_FLAGS, '--import', join(import.meta.dirname, 'stall-probe.ts'), join(ROOT, 'build/program/weft.js')];
    this.#process = spawn(process.execPath, [...program, 'control', ...paths, '--listen', this.address, '--stats', 'off'], {
      stdio: 'ignore',
      env: { ...process.env, WEFT_STALLS: this.#stalls },
    });
  }

  get #socket(): string {
    return join(this.#dir, 'control.sock');
  }

  get #stalls(): string {
    return join(this.#dir, 'stalls');
  }

  /** Resolves when it serves. Errors: WEFT_BENCH_LOAD when it ends instead. */
  async ready(): Promise<void> {
    for (;;) {
      this.requireAlive();
      const serves = await this.#call('GET', '/v1/status').then(
        () => true,
        () => false,
      );
      if (serves) return;
      await sleep(LOOK_MS);
    }
  }

  /** Errors: WEFT_BENCH_LOAD when it has ended. */
  requireAlive(): void {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null)
      throw new WeftError('WEFT_BENCH_LOAD', 'the control plane ended', {
        remedy: 'start it by hand on such a mesh and read its log',
      });
  }

  rootsPem(): Promise<string> {
    return readFile(join(this.#dir, 'state/root-cert.pem'), 'utf8');
  }

  /** Resolves when no client has a stream any more. */
  async withoutClients(): Promise<void> {
    for (;;) {
      this.requireAlive();
      const { connections }: { connections: unknown[] } = JSON.parse(await this.#call('GET', '/v1/status'));
      if (connections.length === 0) return;
      await sleep(LOOK_MS);
    }
  }

  /** A token for an agent that hosts nothing. */
  async token(node: string, range: string): Promise<string> {
    const body = { node, identities: [], addresses: [range], waypoints: false };
    const answer: { token: string } = JSON.parse(await this.#call('POST', '/v1/tokens', JSON.stringify(body)));
    return answer.token;
  }

  async usage(): Promise<Usage> {
    const of = `/proc/${this.#process.pid}`;
    const [stat, status] = await Promise.all([readFile(`${of}/stat`, 'utf8'), readFile(`${of}/status`, 'utf8')]);
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const mib = (name: string) => Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1]) / KIB_PER_MIB;
    const cpuMs = (Number(fields[11]) + Number(fields[12])) * TICK_MS;
    return { cpuMs, rssMib: mib('VmRSS'), peakMib: mib('VmHWM'), ...(await this.#stalled()) };
  }

  /** As a crash does; resolves when it has ended. */
  async stop(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const ended = once(this.#process, 'exit');
    this.#process.kill('SIGKILL');
    await ended;
  }

  /** Resolves when what is in force is kept for a quick start, as of now. */
  async kept(): Promise<void> {
    const sinceMs = Date.now();
    for (;;) {
      this.requireAlive();
      const written = await stat(join(this.#dir, 'state/kept/list')).catch(() => null);
      if (written !== null && written.mtimeMs > sinceMs) return;
      await sleep(LOOK_MS);
    }
  }

  async #stalled(): Promise<{ stallMs: number; turnMs: number }> {
    await rm(this.#stalls, { force: true });
    this.#process.kill('SIGUSR2');
    for (;;) {
      this.requireAlive();
      const text = await readFile(this.#stalls, 'utf8').catch(() => '');
      const [stallMs = 0, turnMs = 0] = text.split(' ').map(Number);
      if (text.endsWith('\n')) return { stallMs, turnMs };
      await sleep(LOOK_MS);
    }
  }

  #call(method: string, path: string, body?: string): Promise<string> {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const sent = request({ socketPath: this.#socket, method, path, agent: false }, (answer) => {
      const parts: Buffer[] = [];
      answer.on('data', (part: Buffer) => parts.push(part));
      answer.on('end', () => resolve(Buffer.concat(parts).toString()));
      answer.on('error', reject);
    });
    sent.on('error', reject);
    sent.end(body);
    return promise;
  }
}
