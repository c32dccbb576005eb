import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { App } from '#testbed/lab/app.ts';
import { NODE_NAMES, type NodeName } from '#testbed/nodes/plan.ts';
import { waitUntil } from '#testbed/processes/wait.ts';
import { ask, inClear } from '../security/dialling.testing.ts';
import { AttackedMesh, serviceYaml } from '../security/mesh.testing.ts';

/** `make soak` replaces and kills each agent more often. */
const TIMES = Number(process.env.WEFT_REPLACEMENTS ?? 3);
const KILLS = Math.max(1, TIMES - 2);
const NODES = NODE_NAMES.slice(0, 2);
const [NEAR, FAR, BACK] = ['10.96.112.1', '10.96.112.2', '10.96.112.3'];
const SETTLE_MS = 20_000;
/** So many lines come back on each connection, and so long dials are made, before what happened counts as seen. */
const [LINES, DIALS_MS] = [50, 500];

type Tally = {
  target: string;
  tried: number;
  failed: number;
  firstMs: number | null;
  lastMs: number | null;
  causes: object;
  node: NodeName;
};
type Talk = { target: string; sent: number; echoed: number; wrong: number; ended: string | null; node: NodeName };

const program = (name: string, ...targets: string[]): string[] => [
  process.execPath,
  join(import.meta.dirname, 'apps', `${name}.ts`),
  ...targets,
];
const listening = ['::', 'echo'];
/** Each node calls an app of its own and one of the other: 200 new connections a second in all. */
const CALLED: Readonly<Record<'alpha' | 'beta', readonly string[]>> = { alpha: [NEAR, FAR], beta: [FAR, BACK] };
const OWN: Readonly<Partial<Record<NodeName, string>>> = { alpha: NEAR, beta: FAR };

/** Both agents go, again and again, under long connections and 200 new ones a second, of one node and between two. */
describe(`agents that go ${TIMES} times under load`, () => {
  let mesh: AttackedMesh;
  const diallers = new Map<NodeName, App>();
  const talkers = new Map<NodeName, App>();

  before(async () => {
    const services = [serviceYaml('near', NEAR), serviceYaml('far', FAR), serviceYaml('back', BACK)];
    mesh = await AttackedMesh.up({ 'services.yaml': services.join('---\n') });
    const servers = { near: 'alpha', far: 'beta', back: 'alpha' } as const;
    for (const [name, node] of Object.entries(servers))
      await mesh.start({ name, node, command: program('listener', ...listening) });
    for (const [node, called] of Object.entries(CALLED) as [NodeName, string[]][]) {
      const targets = called.map((vip) => `${vip}/7`);
      diallers.set(node, await mesh.start({ name: `dialler-${node}`, node, command: program('steady-dialler', ...targets) }));
      talkers.set(node, await mesh.start({ name: `talker-${node}`, node, command: program('long-talk', ...targets) }));
    }
  });
  after(() => mesh?.down());

  /** What the talkers of both nodes, or those who dial there, say when they are asked. */
  const each = async <One>(
    apps: ReadonlyMap<NodeName, App>,
    said: string,
    field: string,
  ): Promise<(One & { node: NodeName })[]> => {
    const answers = [...apps].map(async ([node, { child }]) =>
      ((await ask<Record<string, One[]>>(child, said, field))[field] ?? []).map((one) => ({ ...one, node })),
    );
    return (await Promise.all(answers)).flat();
  };
  const talks = (said = 'report'): Promise<Talk[]> => each<Omit<Talk, 'node'>>(talkers, said, 'talks');
  const tallies = (): Promise<Tally[]> => each<Omit<Tally, 'node'>>(diallers, 'report', 'tallies');
  const isDirect = ({ node, target }: { node: NodeName; target: string }): boolean => target === `${OWN[node]}/7`;

  /** Returns when every connection that is open has gone on. */
  const goesOn = async (): Promise<void> => {
    const before = await talks();
    await waitUntil(`${LINES} more lines on each connection`, SETTLE_MS, async () =>
      (await talks()).every(({ echoed, ended }, at) => ended !== null || echoed >= (before[at]?.echoed ?? 0) + LINES),
    );
  };
  /** Returns once dials to every target are answered, all of them, with what was counted until then. */
  const answered = async (): Promise<Tally[]> => {
    const all: Tally[] = [];
    await waitUntil('dials to every target', SETTLE_MS, async () => {
      await sleep(DIALS_MS);
      const now = await tallies();
      all.push(...now);
      return now.every(({ tried, failed }) => tried > 0 && failed === 0);
    });
    return all;
  };

  test('F8: replaced, both at once and one after the other: no dial fails, no connection ends, no byte is missing', async (t) => {
    await answered();
    let dials = 0;
    for (let round = 0; round < TIMES; round++) {
      await talks('more');
      await goesOn();
      if (round % 2 === 0) await Promise.all(NODES.map((node) => mesh.lab.replace(node)));
      else for (const node of NODES) await mesh.lab.replace(node);
      await goesOn();
      // What a replaced agent carries comes to its end as if nothing had been.
      await talks('finish');
      for (const tally of await answered()) {
        assert.equal(tally.failed, 0, JSON.stringify(tally));
        dials += tally.tried;
      }
    }
    const all = await talks();
    const first = all.length / (TIMES + 1);
    await waitUntil(
      'end of those that were told to',
      SETTLE_MS,
      async () => (await talks()).filter(({ ended }) => ended !== null).length === first * TIMES,
    );
    const end = await talks();
    for (const one of end) assert.ok(one.wrong === 0 && (one.ended === null || one.ended === 'finished'), JSON.stringify(one));
    t.diagnostic(`${dials} dials, ${end.length} connections, ${end.reduce((sum, { echoed }) => sum + echoed, 0)} lines`);
  });

  test('F8: killed: what is direct goes on, new connections between nodes are back by themselves, nothing is in clear', async (t) => {
    for (let round = 0; round < KILLS; round++)
      for (const node of NODES) {
        const former = await talks();
        await talks('more');
        await goesOn();
        const { report } = await mesh.wire(() => killed(t, node, former));
        assert.deepEqual(inClear(report), []);
        assert.ok(report.encryptedBytes > 0, 'nothing crossed');
      }
  });

  /** Kills the agent of a node and waits until all is as it was. `former`: connections that others carry, if they are not direct. */
  async function killed(t: TestContext, node: NodeName, former: readonly Talk[]): Promise<void> {
    await tallies();
    const startedMs = performance.now();
    await mesh.lab.restart(node, 'SIGKILL');
    const tookMs = Math.round(performance.now() - startedMs);
    const dialled = await answered();
    const failures = dialled.filter(({ failed }) => failed > 0);
    assert.deepEqual(failures.filter(isDirect), []);
    assert.ok(failures.length > 0, 'nobody noticed');
    const awayMs =
      Math.max(...failures.map(({ lastMs }) => lastMs ?? 0)) - Math.min(...failures.map(({ firstMs }) => firstMs ?? 0));
    t.diagnostic(`${node}: another agent after ${tookMs} ms, dials between nodes failed for ${awayMs} ms`);
    await goesOn();
    for (const one of NODES) {
      const endings = (all: readonly Talk[]) => all.filter((talk) => talk.node === one).map(({ ended }) => ended === null);
      const [before, now] = [endings(former), (await talks()).filter((talk) => talk.node === one)];
      assert.deepEqual(endings(now).slice(0, before.length), before, 'what is direct, or carried by agents that were replaced');
      for (const talk of now.slice(before.length)) assert.equal(talk.ended === null, isDirect(talk), JSON.stringify(talk));
      assert.equal(
        now.every(({ wrong }) => wrong === 0),
        true,
      );
    }
  }
});
