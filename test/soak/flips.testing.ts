import { join } from 'node:path';
import type { App } from '#testbed/lab/app.ts';
import type { NodeName } from '#testbed/nodes/plan.ts';
import type { Child } from '#testbed/processes/child.ts';
import { waitUntil } from '#testbed/processes/wait.ts';
import { attackProgram, type Dialler, diallerOf, witnessed } from '../security/dialling.testing.ts';
import { type AttackedMesh, policyYaml, serviceYaml } from '../security/mesh.testing.ts';

const SETTLE_MS = 30_000;
const FILE = 'flips.yaml';
/** So many connections of each dialler stay open until policy cuts them. */
const HELD = 10;
const IDLE = ['sh', '-c', 'echo "{\\"event\\":\\"listening\\",\\"pid\\":$$}"; exec sleep 100000'];
const vipOf = (at: number): string => `10.96.131.${at + 1}`;

/** What came of the turns so far: `answered` while it was allowed, `refused` while it was not. */
export type Flipped = { turns: number; answered: number; refused: number; cut: number };

/**
 * Callers of each node, to it and to the next one, whom policy allows and denies in turns, while agents are replaced and a workload comes
 * and goes. What is denied and nevertheless answered, or held, is a problem, in words.
 */
export class Flips {
  readonly #mesh: AttackedMesh;
  readonly #nodes: readonly NodeName[];
  readonly #judged: readonly App[];
  readonly #callers: readonly App[];
  #diallers: readonly Dialler[] = [];
  readonly counted: Flipped = { turns: 0, answered: 0, refused: 0, cut: 0 };
  /** Agents that were replaced. */
  readonly former: Child[] = [];

  private constructor(mesh: AttackedMesh, nodes: readonly NodeName[], judged: readonly App[], callers: readonly App[]) {
    this.#mesh = mesh;
    this.#nodes = nodes;
    this.#judged = judged;
    this.#callers = callers;
  }

  /** What the mesh has to hold for this. */
  static yaml(nodes: readonly NodeName[]): string[] {
    return nodes.map((node, at) => serviceYaml(`judged-${node}`, vipOf(at)));
  }

  static async start(mesh: AttackedMesh, nodes: readonly NodeName[]): Promise<Flips> {
    const judged: App[] = [];
    const callers: App[] = [];
    for (const node of nodes) {
      judged.push(await mesh.start({ name: `judged-${node}`, node, command: attackProgram('witness') }));
      callers.push(await mesh.start({ name: `flipped-${node}`, node, command: IDLE }));
    }
    return new Flips(mesh, nodes, judged, callers);
  }

  /** Turns until it is told to end, and leaves everything allowed and nobody calling; returns what was wrong. */
  async run(signal: AbortSignal): Promise<string[]> {
    const problems: string[] = [];
    this.#diallers = this.#callers.map((app, at) => this.#dialler(app, at));
    do {
      // What a DENY names, and then what no ALLOW names.
      await this.#denied(
        'DENY',
        this.#nodes.map((node) => `flipped-${node}`),
        problems,
      );
      await this.#allowed();
      await this.#denied('ALLOW', ['nobody'], problems);
      await this.#allowed();
      this.counted.turns++;
    } while (!signal.aborted);
    await Promise.all(this.#diallers.map(({ app }) => app.child.stop()));
    return problems;
  }

  /** Every agent is replaced once. */
  async replaceEach(): Promise<void> {
    for (const _ of this.#nodes) await this.#replaceOne();
    await waitUntil('end of agents that were replaced', SETTLE_MS, () => this.former.every((one) => one.ending() !== null));
  }

  /** A program in a workload that goes on without it. */
  #dialler(app: App, at: number): Dialler {
    const targets = [vipOf(at), vipOf((at + 1) % this.#nodes.length)].map((vip) => `${vip}/7`);
    const command = this.#mesh.insideLine(app.name, attackProgram('dialler', ...targets));
    const logPath = join(this.#mesh.plan.logDir, `dialler-${app.name}.log`);
    const child = this.#mesh.lab.spawn({ name: `dialler-${app.name}`, command, logPath });
    const dialler = diallerOf({ ...app, child });
    dialler.hold(HELD);
    return dialler;
  }

  async #denied(action: 'ALLOW' | 'DENY', accounts: readonly string[], problems: string[]): Promise<void> {
    const policies = this.#nodes.map((node) => policyYaml(`flip-${node}`, `judged-${node}`, action, accounts));
    this.counted.cut += (await this.#held()).reduce((sum, held) => sum + held, 0);
    await this.#mesh.enforce(FILE, policies.join('---\n'));
    await waitUntil('end of what policy denies', SETTLE_MS, async () => (await this.#held()).every((held) => held === 0));
    await this.#epoch();
    const before = await this.#arrivals();
    if (action === 'DENY') await this.#replaceOne();
    let refused = 0;
    // The next agent denies it, too: it is not refused because nobody is there.
    await waitUntil('refusals', SETTLE_MS, async () => {
      const tallies = await this.#epoch();
      const answered = tallies.reduce((sum, tally) => sum + tally.answered, 0);
      if (answered > 0) problems.push(`${answered} dials were answered that policy denies`);
      refused += tallies.reduce((sum, tally) => sum + tally.failed, 0);
      return tallies.every(({ failed }) => failed > 0);
    });
    this.counted.refused += refused;
    const arrived = (await this.#arrivals()) - before;
    if (arrived > 0) problems.push(`${arrived} connections arrived that policy denies`);
  }

  async #allowed(): Promise<void> {
    await this.#mesh.enforce(FILE, null);
    await this.#epoch();
    const passing = await this.#passingBy();
    await Promise.all([this.#replaceOne(), passing.stop()]);
    await waitUntil('answers', SETTLE_MS, async () => {
      const tallies = await this.#epoch();
      this.counted.answered += tallies.reduce((sum, { answered }) => sum + answered, 0);
      return tallies.every(({ answered }) => answered > 0);
    });
  }

  /** One agent after the other. */
  async #replaceOne(): Promise<void> {
    this.former.push(await this.#mesh.lab.replace(this.#nodes[this.former.length % this.#nodes.length] as NodeName));
  }

  /** A workload that comes and calls, on the node whose agent is replaced next. */
  async #passingBy(): Promise<Child> {
    const at = this.former.length % this.#nodes.length;
    const targets = this.#nodes.map((_, one) => `${vipOf(one)}/7`);
    const name = `passing-${this.counted.turns}`;
    const app = await this.#mesh.start({
      name,
      node: this.#nodes[at] as NodeName,
      command: attackProgram('dialler', ...targets),
    });
    const passing = diallerOf(app);
    await waitUntil('answers to who passes by', SETTLE_MS, async () =>
      (await passing.epoch()).every(({ answered }) => answered > 0),
    );
    return app.child;
  }

  async #epoch(): Promise<{ answered: number; failed: number }[]> {
    return (await Promise.all(this.#diallers.map((one) => one.epoch()))).flat();
  }

  #held(): Promise<number[]> {
    return Promise.all(this.#diallers.map((one) => one.held()));
  }

  /** Connections that reached those who are called, in all. */
  async #arrivals(): Promise<number> {
    const seen = await Promise.all(this.#judged.map((app) => witnessed(app)));
    return seen.flatMap((one) => Object.values(one)).reduce((sum, count) => sum + count, 0);
  }
}
