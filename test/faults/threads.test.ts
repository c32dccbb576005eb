import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { agentClient } from '#platform/local-api/clients.ts';
import type { Probe } from '#testbed/apps/probe-client.ts';
import type { App } from '#testbed/lab/app.ts';
import { labPaths } from '#testbed/lab/parts.ts';
import type { NodeName } from '#testbed/nodes/plan.ts';
import { command } from '#testbed/processes/command.ts';
import { waitUntil, within } from '#testbed/processes/wait.ts';
import { metricOf } from '../security/crowd.testing.ts';
import { ask } from '../security/dialling.testing.ts';
import { AttackedMesh, serviceYaml } from '../security/mesh.testing.ts';
import { CPU, type Paced, undelayed } from './paced.testing.ts';

const [VIP, TELLER] = ['10.96.140.1', '10.96.140.2'];
const END_MS = 10_000;
const DIALS = 200;

const app = (name: string, ...args: string[]): string[] => [
  process.execPath,
  join(import.meta.dirname, 'apps', `${name}.ts`),
  ...args,
];

/** What a lab starts from here on has these in its environment. */
function environment(values: Readonly<Record<'WEFT_LAB_THREADS' | 'WEFT_DRILL', string>>): void {
  Object.assign(process.env, values);
}

/** The threads of an agent that carry connections. */
describe('data threads', { skip: process.env.WEFT_IO === 'node' && 'with WEFT_IO=node there are none' }, () => {
  let mesh: AttackedMesh;
  let far: App;
  let pacer: App;
  before(async () => {
    environment({ WEFT_LAB_THREADS: '1', WEFT_DRILL: 'busy-control' });
    mesh = await AttackedMesh.up({ 'services.yaml': `${serviceYaml('far', VIP)}---\n${serviceYaml('teller', TELLER)}` });
    far = await mesh.start({ name: 'far', node: 'beta', command: app('listener', '::', 'echo') });
    await mesh.echo('teller', 'beta');
    pacer = await mesh.start({ name: 'pacer', node: 'alpha', command: app('pacer', VIP, '7') });
    const [alpha, beta] = [mesh.lab.agent('alpha').pid, mesh.lab.agent('beta').pid];
    for (const pid of [alpha, beta, far.pid, pacer.pid]) await command(['taskset', '-a', '-cp', CPU.all, String(pid)]);
    await command(['taskset', '-cp', CPU.control, String(alpha)]);
  });
  after(async () => {
    environment({ WEFT_LAB_THREADS: '', WEFT_DRILL: '' });
    await mesh?.down();
  });

  const connected = (probe: Probe): Promise<unknown> =>
    waitUntil('a connection', END_MS, async () => {
      const { error } = await probe.connect({ host: TELLER, port: 7 });
      if (error !== null) throw new Error(error);
      return true;
    });
  const restart = async (node: NodeName): Promise<void> => {
    await mesh.lab.restart(node, 'SIGKILL');
  };

  test('no byte and no new connection with a decision at hand waits for a control thread that is busy for ten seconds', async (t) => {
    await undelayed(t, {
      pids: [far.pid, pacer.pid],
      report: async () => (await ask<{ paced: Paced }>(pacer.child, 'report', 'paced')).paced,
      keepBusy() {
        mesh.lab.agent('alpha').signal('SIGUSR2');
        let answers = 0;
        mesh.status('alpha').then(
          () => answers++,
          () => {},
        );
        return () => answers > 0;
      },
      atRest: () => waitUntil('an answer of the control thread', END_MS, () => mesh.status('alpha')),
    });
  });

  test('two threads carry beside each other, what they count is one sum, and their lines are whole', async () => {
    environment({ WEFT_LAB_THREADS: '2', WEFT_DRILL: 'end-data-thread' });
    await restart('beta');
    const probe = await mesh.probe('dialler', 'alpha');
    await connected(probe);
    const opened = (): Promise<number> =>
      metricOf(mesh, 'beta', 'istio_tcp_connections_opened_total', 'reporter="destination"', 'source_workload="dialler"');
    await waitUntil('the count of the first one', END_MS, async () => (await opened()) > 0);
    const before = await opened();
    const dials = Array.from({ length: DIALS }, () => probe.connect({ host: TELLER, port: 7 }));
    assert.deepEqual(
      (await Promise.all(dials)).filter(({ error }) => error !== null),
      [],
    );
    await waitUntil(`a count of ${DIALS} more than ${before}`, END_MS, async () => (await opened()) === before + DIALS);
    const lines = (await mesh.log('beta')).trimEnd().split('\n');
    assert.deepEqual(
      lines.filter((line) => !/^\d\d:\d\d:\d\d\.\d{3} (DEBUG|INFO |WARN |ERROR) agent: /.test(line)),
      [],
    );
  });

  test('H18: the level of the log counts for each of them, from then on', async () => {
    const probe = await mesh.probe('heard', 'alpha');
    const { logLevel } = agentClient(labPaths(mesh.plan).agentSocket('beta'));
    const closed = (): Promise<number> =>
      metricOf(mesh, 'beta', 'istio_tcp_connections_closed_total', 'reporter="destination"', 'source_workload="heard"');
    const told = async (): Promise<number> =>
      (await mesh.log('beta')).split('\n').filter((line) => line.includes('connection complete') && /\bheard\b/.test(line))
        .length;
    const dial = async (count: number, ended: number): Promise<void> => {
      for (let dialled = 0; dialled < count; dialled++)
        assert.equal((await probe.connect({ host: TELLER, port: 7 })).error, null);
      await waitUntil(`${ended} ended connections`, END_MS, async () => (await closed()) === ended);
    };
    await connected(probe);
    await dial(0, 1);
    await waitUntil('the line of the first one', END_MS, async () => (await told()) === 1);
    assert.deepEqual(await logLevel('silent'), { level: 'silent' });
    const before = await told();
    await dial(20, 21);
    assert.deepEqual(await logLevel('info'), { level: 'info' });
    assert.equal(await told(), before);
    await dial(20, 41);
    await waitUntil('lines again', END_MS, async () => (await told()) > before);
  });

  test('one that ends takes the agent with it, which says why in its last line; the next one goes on', async () => {
    const agent = mesh.lab.agent('beta');
    agent.signal('SIGUSR2');
    const { code } = await within('end of the agent', END_MS, agent.ended);
    assert.equal(code, 1);
    const last = (await mesh.log('beta')).trimEnd().split('\n').at(-1) ?? '';
    assert.match(last, /^[\d:.]+ ERROR agent: this agent ends.*a thread that carries connections has ended/);
    await mesh.lab.startAgent('beta');
    const probe = await mesh.probe('later', 'alpha');
    await connected(probe);
  });
});
