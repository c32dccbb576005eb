import assert from 'node:assert/strict';
import test from 'node:test';
import { parse } from 'yaml';
import type { AgentStatus } from '#protocol/api/agent.ts';
import { drainWorkloads, formatWorkloads, type Stopper, stopWorkloads, workloadRows } from './workloads.ts';

const workload = (name: string, namespace = 'default', problem: string | null = null): AgentStatus['enrolled'][number] => ({
  ...{ uid: `Kubernetes/weft.dev/Workload/${namespace}/${name}`, name, namespace, serviceAccount: name, problem },
  addresses: ['10.41.0.2'],
  published: ['0.0.0.0:8080->80/tcp'],
  ready: problem === null,
});
const ALPHA = { node: 'alpha', enrolled: [workload('web'), workload('cart', 'shop', 'it has no certificate')], runs: [] };
const ALL = { names: [], namespace: null, node: null };
const BETA = { node: 'beta', enrolled: [workload('api')], runs: [] };

test('weft ps lists workloads by namespace and name, with what keeps one from being ready', async () => {
  const text = await formatWorkloads(workloadRows([ALPHA, BETA], ALL), 'table');
  assert.deepEqual(
    text.split('\n').map((line) => line.replace(/ {2,}/g, ' | ').trimEnd()),
    [
      'NAMESPACE | NAME | NODE | SERVICE ACCOUNT | STATE | ADDRESSES',
      'default | api | beta | api | ready | 10.41.0.2',
      'default | web | alpha | web | ready | 10.41.0.2',
      'shop | cart | alpha | cart | it has no certificate | 10.41.0.2',
      '',
    ],
  );
  assert.equal(await formatWorkloads([], 'table'), 'no workloads\n');
});

test('weft ps -o json gives the same, of one namespace when that is asked', async () => {
  const rows: unknown = JSON.parse(await formatWorkloads(workloadRows([ALPHA, BETA], { ...ALL, namespace: 'shop' }), 'json'));
  assert.deepEqual(rows, [{ node: 'alpha', ...ALPHA.enrolled[1] }]);
});

test('H11: weft ps of a node or of names, with more to see, and as yaml', async () => {
  const namesOf = (filter: object): string[] => workloadRows([ALPHA, BETA], { ...ALL, ...filter }).map(({ name }) => name);
  assert.deepEqual(namesOf({ node: 'alpha' }), ['web', 'cart']);
  assert.deepEqual(namesOf({ names: ['api', 'cart'] }), ['api', 'cart']);
  assert.deepEqual(namesOf({ names: ['api'], node: 'alpha' }), []);
  const rows = workloadRows([BETA], ALL);
  assert.match(
    await formatWorkloads(rows, 'wide'),
    /ADDRESSES +PUBLISHED +UID\n.*10\.41\.0\.2 +0\.0\.0\.0:8080->80\/tcp +Kubernetes\/weft\.dev\/Workload\/default\/api\n$/,
  );
  assert.deepEqual(parse(await formatWorkloads(rows, 'yaml')), rows);
});

const OPTIONS = { namespace: 'default', node: null, graceSeconds: null, runDir: '/run/weft' };
const LOOPING = { pid: 7, namespace: 'default', name: 'loop', serviceAccount: 'looper' };

test('H14: weft ps shows those that wait to be started again, and none twice', () => {
  const runs = [LOOPING, { ...LOOPING, pid: 8, name: 'api' }];
  const rows = workloadRows([{ ...BETA, runs }], ALL);
  assert.deepEqual(
    rows.map(({ name, serviceAccount, problem }) => [name, serviceAccount, problem]),
    [
      ['api', 'api', null],
      ['loop', 'looper', 'to be started again'],
    ],
  );
});

test('H14: weft stop takes the name from the weft run first, and tells one whose command does not run', async () => {
  const done: string[] = [];
  const agent = {
    ...BETA,
    runs: [LOOPING, { ...LOOPING, pid: 8, name: 'api' }],
    drain: async () => {},
    stop: async (namespace: string, name: string) => void done.push(`stop ${namespace}/${name}`),
    disown: (_: string, name: string) => void done.push(`disown ${name}`),
    endRun: async (pid: number, isIdle: boolean) => void done.push(`end ${pid} ${isIdle}`),
  };
  await stopWorkloads({ ...OPTIONS, names: ['api'] }, [agent], () => {});
  await stopWorkloads({ ...OPTIONS, names: ['loop'] }, [agent], () => {});
  assert.deepEqual(done, ['disown api', 'stop default/api', 'end 8 false', 'disown loop', 'end 7 true']);
});

/** Agents that write down what they are told to end. */
function stoppers(): { agents: Stopper[]; ended: string[] } {
  const ended: string[] = [];
  const agents = [ALPHA, BETA].map((agent) => ({
    ...agent,
    disown: () => {},
    endRun: async () => {},
    drain: async (namespace: string, name: string, draining: boolean) => void ended.push(`${namespace}/${name} ${draining}`),
    stop: async (namespace: string, name: string, graceMs?: number) => void ended.push(`${namespace}/${name} ${graceMs}`),
  }));
  return { agents, ended };
}

test('H3: weft stop tells each agent its own workloads, with the time they have', async () => {
  const { agents, ended } = stoppers();
  const told: string[] = [];
  await stopWorkloads({ ...OPTIONS, names: ['web', 'api'] }, agents, (line) => void told.push(line));
  await stopWorkloads({ ...OPTIONS, names: ['cart'], namespace: 'shop', graceSeconds: 3 }, agents, () => {});
  assert.deepEqual(ended, ['default/web undefined', 'default/api undefined', 'shop/cart 3000']);
  assert.deepEqual(told, ['default/web: ended', 'default/api: ended']);
});

test('H22: weft drain tells each agent its own workloads, and nobody when one is not there', async () => {
  const { agents, ended } = stoppers();
  const wanted = { namespace: 'default', node: null, undo: false, runDir: '/r' };
  const told: string[] = [];
  await drainWorkloads({ ...wanted, names: ['web', 'api'] }, agents, (line) => void told.push(line));
  await drainWorkloads({ ...wanted, names: ['web'], undo: true }, agents, (line) => void told.push(line));
  await assert.rejects(
    drainWorkloads({ ...wanted, names: ['web', 'wbe'] }, agents, () => {}),
    { code: 'WEFT_NO_WORKLOAD' },
  );
  assert.deepEqual(ended, ['default/web true', 'default/api true', 'default/web false']);
  assert.deepEqual(told, [
    'default/web: gets no new connections',
    'default/api: gets no new connections',
    'default/web: serves again',
  ]);
});

test('H3: of names that are not all there, none is ended', async () => {
  const { agents, ended } = stoppers();
  for (const change of [{ names: ['web', 'wbe'] }, { names: ['web'], node: 'beta' }, { names: ['cart'] }]) {
    await assert.rejects(
      stopWorkloads({ ...OPTIONS, ...change }, agents, () => {}),
      { code: 'WEFT_NO_WORKLOAD', remedy: /weft ps/ },
    );
  }
  assert.deepEqual(ended, []);
});
