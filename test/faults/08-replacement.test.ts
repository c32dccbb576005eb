import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { AGENT } from '#model/settings/agents.ts';
import { listenAsManager } from '#platform/linux/process/service-manager.testing.ts';
import type { App } from '#testbed/lab/app.ts';
import type { Child } from '#testbed/processes/child.ts';
import { waitUntil, within } from '#testbed/processes/wait.ts';
import { ask } from '../security/dialling.testing.ts';
import { AttackedMesh, policyYaml, serviceYaml } from '../security/mesh.testing.ts';

const [NEAR, FAR, BACK] = ['10.96.108.1', '10.96.108.2', '10.96.108.3'];
const END_MS = 15_000;

type Tally = { target: string; tried: number; failed: number; causes: object };
type Talk = { target: string; sent: number; echoed: number; wrong: number; ended: string | null };

const app = (name: string, ...args: string[]): string[] => [
  process.execPath,
  join(import.meta.dirname, 'apps', `${name}.ts`),
  ...args,
];

/** Dials and long connections on the node whose agent is replaced, of it and to it. */
describe('an agent that is replaced', () => {
  let mesh: AttackedMesh;
  let diallers: App[] = [];
  let talkers: Pick<App, 'child'>[] = [];
  let former: Child | null = null;
  before(async () => {
    const services = [serviceYaml('near', NEAR), serviceYaml('far', FAR), serviceYaml('back', BACK)];
    mesh = await AttackedMesh.up({ 'services.yaml': services.join('---\n') });
    const echo = app('listener', '::', 'echo');
    for (const [name, node] of [
      ['near', 'alpha'],
      ['far', 'beta'],
      ['back', 'alpha'],
    ] as const)
      await mesh.start({ name, node, command: echo });
    diallers = [
      await mesh.start({ name: 'dialler', node: 'alpha', command: app('steady-dialler', `${NEAR}/7`, `${FAR}/7`) }),
      await mesh.start({ name: 'caller', node: 'beta', command: app('steady-dialler', `${BACK}/7`) }),
    ];
    talkers = [
      await mesh.start({ name: 'talker', node: 'alpha', command: app('long-talk', `${NEAR}/7`, `${FAR}/7`) }),
      await mesh.start({ name: 'speaker', node: 'beta', command: app('long-talk', `${BACK}/7`) }),
    ];
  });
  after(() => mesh?.down());

  const talks = async (): Promise<Talk[]> =>
    (await Promise.all(talkers.map(({ child }) => ask<{ talks: Talk[] }>(child, 'report', 'talks')))).flatMap(
      ({ talks }) => talks,
    );

  /** Runs `replacing` while everything dials and talks: no dial fails, and every connection goes on. */
  async function undisturbed(t: TestContext, replacing: () => Promise<unknown>): Promise<void> {
    for (const { child } of diallers) await ask(child, 'begin', 'tallies');
    const before = await talks();
    await replacing();
    await sleep(1_500);
    const answers = await Promise.all(diallers.map(({ child }) => ask<{ tallies: Tally[] }>(child, 'report', 'tallies')));
    for (const tally of answers.flatMap(({ tallies }) => tallies)) {
      t.diagnostic(JSON.stringify(tally));
      assert.ok(tally.tried > 100 && tally.failed === 0, JSON.stringify(tally));
    }
    for (const [at, one] of (await talks()).entries()) {
      assert.deepEqual([one.wrong, one.ended], [0, null], JSON.stringify(one));
      assert.ok(one.echoed - (before[at]?.echoed ?? 0) > 50, `it goes on: ${JSON.stringify(one)}`);
    }
  }

  test('F8: nothing is refused and nothing reset: live connections go on in the former agent, new ones wait for the next', async (t) => {
    await sleep(500);
    await undisturbed(t, async () => {
      former = await mesh.lab.replace('alpha');
    });
    assert.equal(former?.ending(), null, 'what it carries has not ended');
  });

  test('F8: policy ends what a replaced agent carries; then it ends by itself', async () => {
    assert.ok(former !== null);
    mesh.write(
      'deny.yaml',
      [policyYaml('far', 'far', 'DENY', ['talker']), policyYaml('back', 'back', 'DENY', ['speaker'])].join('---\n'),
    );
    const { code } = await within('end of the replaced agent', END_MS, former.ended);
    assert.equal(code, 0);
    const ended = (await talks()).filter(({ target }) => !target.startsWith(`${NEAR}/`));
    assert.equal(ended.length > 0 && ended.every((one) => one.ended !== null), true);
  });

  test('F8: an agent that is told to stop serves on, and another that starts meanwhile takes the node over', async (t) => {
    mesh.write('deny.yaml', null);
    const { child } = await mesh.start({ name: 'again', node: 'alpha', command: app('long-talk', `${FAR}/7`) });
    talkers = [{ child }];
    await sleep(500);
    await undisturbed(t, async () => {
      const told = mesh.lab.agent('alpha');
      told.signal('SIGTERM');
      await sleep(500);
      await mesh.lab.startAgent('alpha');
      assert.equal(told.ending(), null, 'it carries to the end of its time');
    });
  });

  test('F8: an agent that a service manager has reload puts another process in its place, and says so', async (t) => {
    const path = join(mesh.plan.runDir, 'notify');
    const manager = listenAsManager(path);
    process.env.NOTIFY_SOCKET = path; // what a lab starts has our environment
    const before = await mesh.lab.replace('alpha').finally(() => delete process.env.NOTIFY_SOCKET);
    talkers = []; // this one carries nothing that lasts, and has to stay for its sockets all the same
    await within('end of the replaced agent', AGENT.leaveMs + END_MS, before.ended);
    const main = mesh.lab.agent('alpha');
    await undisturbed(t, async () => {
      main.signal('SIGHUP');
      await waitUntil('another main process', END_MS, async () => manager.heard().some((line) => line.startsWith('MAINPID=')));
    });
    assert.equal(
      manager.heard().some((line) => line.startsWith('STOPPING')),
      false,
    );
    assert.notEqual((await mesh.status('alpha')).pid, main.pid);
    manager.close();
  });
});
