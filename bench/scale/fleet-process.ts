import { type ChildProcess, fork } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { WeftError } from '#model/error.ts';
import type { FleetOrder, FleetReport } from './fleet-messages.ts';

/** Longer than anything here takes on a machine that is fit for it. */
export const PATIENCE_MS = 240_000;

/** Clients in a process of their own. */
export class Fleet {
  readonly #process: ChildProcess;
  #reports: FleetReport[] = [];

  constructor() {
    this.#process = fork(join(import.meta.dirname, 'fleet.ts'));
    this.#process.on('message', (report: FleetReport) => this.#reports.push(report));
  }

  forget(): void {
    this.#reports = [];
  }

  tell(order: FleetOrder): void {
    this.#process.send(order);
  }

  /** The first `count` reports of a kind since `forget`. Errors: WEFT_BENCH_LOAD when a client gave up or nothing comes. */
  async reports<Kind extends FleetReport['kind']>(kind: Kind, count: number): Promise<Extract<FleetReport, { kind: Kind }>[]> {
    const isAsked = (report: FleetReport): report is Extract<FleetReport, { kind: Kind }> => report.kind === kind;
    return this.#until(`${count} clients are ${kind}`, () => {
      const found = this.#reports.filter(isAsked);
      return found.length >= count ? found : null;
    });
  }

  /** The first message of a type to a client since `forget`. Errors: as those of `reports`. */
  told(node: string, typeUrl: string): Promise<Extract<FleetReport, { kind: 'told' }>> {
    type Told = Extract<FleetReport, { kind: 'told' }>;
    const isIt = (report: FleetReport): report is Told =>
      report.kind === 'told' && report.node === node && report.typeUrl === typeUrl;
    return this.#until(`${node} is told`, () => this.#reports.find(isIt) ?? null);
  }

  async #until<Found>(what: string, look: () => Found | null): Promise<Found> {
    for (const untilMs = Date.now() + PATIENCE_MS; ; await sleep(1)) {
      const found = look();
      if (found !== null) return found;
      const ended = this.#reports.find((report) => report.kind === 'ended');
      if (ended !== undefined || Date.now() > untilMs)
        throw new WeftError('WEFT_BENCH_LOAD', `waited in vain until ${what}: ${ended?.why ?? 'the others wait'}`, {
          remedy: 'start the control plane by hand on such a mesh and read its log',
        });
    }
  }

  stop(): void {
    this.#process.kill();
  }
}
