import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { PORT } from '#model/mesh/ports.ts';
import { waypointSocketPath } from '#protocol/api/places.ts';
import type { App } from '#testbed/lab/app.ts';
import { command } from '#testbed/processes/command.ts';
import { inNetnsOf } from '#testbed/processes/command-lines.ts';
import { waitUntil } from '#testbed/processes/wait.ts';
import { ask } from '../security/dialling.testing.ts';
import { AttackedMesh } from '../security/mesh.testing.ts';
import { boundServiceYaml, GATEWAY_YAML, WEB_PROGRAM, waypointLog } from '../security/waypoint.testing.ts';
import { CPU, type Paced, undelayed } from './paced.testing.ts';

const VIP = '10.96.141.1';
const [THREADS, CALLS] = [2, 200];
const END_MS = 15_000;
const CHANGES = 6;

/** A route whose answers tell which one it is. */
const routeYaml = (change: number): string => `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: change-${change}, namespace: attacks }
spec:
  parentRefs: [{ group: '', kind: Service, name: web, port: 80 }]
  rules:
    - filters: [{ type: ResponseHeaderModifier, responseHeaderModifier: { set: [{ name: x-change, value: '${change}' }] } }]
      backendRefs: [{ name: web, port: 80 }]
`;

/** What a lab starts from here on has these in its environment. */
function environment(values: Readonly<Record<'WEFT_LAB_THREADS' | 'WEFT_DRILL', string>>): void {
  Object.assign(process.env, values);
}

/** The threads of a waypoint that serve. */
describe('data threads of a waypoint', { skip: process.env.WEFT_IO === 'node' && 'with WEFT_IO=node there are none' }, () => {
  let mesh: AttackedMesh;
  let web: App;
  let caller: App;
  let change = 0;

  const waypointPid = (): number =>
    (JSON.parse(readFileSync(join(mesh.lab.paths.waypointDir, 'attacks.waypoint.json'), 'utf8')) as { pid: number }).pid;
  const isAlive = (pid: number): boolean => existsSync(`/proc/${pid}`);
  const startCaller = (name: string): Promise<App> =>
    mesh.start({
      name,
      node: 'alpha',
      command: [process.execPath, join(import.meta.dirname, 'apps', 'http-pacer.ts'), VIP, '80'],
    });
  const tell = async <Told>(app: App, what: string): Promise<Told> =>
    (await ask<Record<string, Told>>(app.child, what, what))[what] as Told;
  const burst = (): Promise<Record<string, number>> => tell(caller, 'burst');
  /** The sum of a metric over the series whose labels contain these. */
  const metric = async (name: string, ...labels: string[]): Promise<number> => {
    const page = await command(inNetnsOf(waypointPid(), ['curl', '-sSf', '-m', '5', `http://127.0.0.1:${PORT.stats}/metrics`]));
    const series = page.split('\n').filter((one) => one.startsWith(`${name}{`) && labels.every((label) => one.includes(label)));
    return series.reduce((sum, one) => sum + Number(one.slice(one.lastIndexOf(' ') + 1)), 0);
  };
  const answering = (): Promise<unknown> =>
    waitUntil('answers', END_MS, async () => {
      const answers = await burst();
      return Object.keys(answers).every((answer) => answer.startsWith('200 '));
    });
  /** Of each data thread, nanoseconds for which it has run. */
  const ranNs = (): number[] => {
    const tasks = `/proc/${waypointPid()}/task`;
    return readdirSync(tasks)
      .filter((task) => readFileSync(join(tasks, task, 'comm'), 'utf8').trim() === 'weft-data')
      .map((task) => Number(readFileSync(join(tasks, task, 'schedstat'), 'utf8').split(' ')[0]));
  };

  before(async () => {
    environment({ WEFT_LAB_THREADS: String(THREADS), WEFT_DRILL: 'busy-control' });
    mesh = await AttackedMesh.up({ 'web.yaml': boundServiceYaml('web', VIP, 'web', 'http', 7000), 'gateway.yaml': GATEWAY_YAML });
    web = await mesh.start({ name: 'web', node: 'alpha', command: WEB_PROGRAM });
    await mesh.lab.waypointsReady();
    caller = await startCaller('caller');
    await answering();
  });
  after(async () => {
    environment({ WEFT_LAB_THREADS: '', WEFT_DRILL: '' });
    await mesh?.down();
  });

  test('two threads serve beside each other, what they count is one sum by the next scrape, and each request has one whole line', async () => {
    const counted = (): Promise<number[]> =>
      Promise.all(
        ['istio_requests_total', 'istio_request_duration_seconds_count'].map((name) => metric(name, 'source_workload="caller"')),
      );
    const lines = async (): Promise<string[]> =>
      (await waypointLog(mesh)).split('\n').filter((line) => /\brequest\b.*\bcaller\b/.test(line));
    const [before, ran, told] = [await counted(), ranNs(), (await lines()).length];
    assert.deepEqual(await burst(), { '200 -': CALLS });
    assert.deepEqual(
      await counted(),
      before.map((count) => count + CALLS),
    );
    const more = ranNs().map((ns, at) => ns - (ran[at] ?? 0));
    assert.equal(more.length, THREADS);
    for (const ns of more) assert.ok(ns > 1e6, `a thread had next to nothing to do: ${more}`);
    await waitUntil('a line of each request', END_MS, async () => (await lines()).length >= told + CALLS);
    const all = await lines();
    assert.equal(all.length, told + CALLS);
    assert.deepEqual(
      all.filter((line) => !/^\d\d:\d\d:\d\d\.\d{3} INFO {2}waypoint: request src/.test(line)),
      [],
    );
  });

  test('a route that the control plane shows as taken over is in force in every thread', async () => {
    for (let round = 0; round < CHANGES; round++) {
      mesh.write('route.yaml', routeYaml(++change));
      await waitUntil(`change ${change} at the waypoint`, END_MS, async () => {
        const { conditions, connections } = await mesh.controlStatus();
        const isKnown = conditions.some(({ resource, type }) => resource.endsWith(`change-${change}`) && type === 'Accepted');
        return isKnown && connections.every(({ upToDate }) => upToDate);
      });
      assert.deepEqual(await burst(), { [`200 ${change}`]: CALLS });
    }
  });

  test('the level of the log that the waypoint is told counts for each of them', async () => {
    const socket = waypointSocketPath(mesh.lab.paths.waypointDir, 'attacks', 'waypoint');
    const level = (wanted: string): Promise<string> =>
      command(['curl', '-sSf', '--unix-socket', socket, '-d', JSON.stringify({ level: wanted }), 'http://weft/v1/log-level']);
    const requests = async (): Promise<number> => (await waypointLog(mesh)).split('waypoint: request ').length;
    await level('warn');
    // What was told before the change may still be on its way into the file; a burst later it is there.
    await burst();
    let before = -1;
    await waitUntil('nothing more is told', END_MS, async () => {
      const last = before;
      before = await requests();
      return before === last;
    });
    await burst();
    await level('info');
    await burst();
    await waitUntil('lines again', END_MS, async () => (await requests()) >= before + CALLS);
    assert.equal(await requests(), before + CALLS);
  });

  test('no request waits for a control thread that is busy for ten seconds', async (t) => {
    const pid = waypointPid();
    for (const one of [pid, web.pid, caller.pid]) await command(['taskset', '-a', '-cp', CPU.all, String(one)]);
    await command(['taskset', '-cp', CPU.control, String(pid)]);
    await tell(caller, 'begin');
    await undelayed(t, {
      pids: [web.pid, caller.pid],
      report: () => tell<Paced>(caller, 'paced'),
      keepBusy() {
        process.kill(pid, 'SIGUSR2');
        let scrapes = 0;
        metric('istio_requests_total').then(
          () => scrapes++,
          () => {}, // it gives up after five seconds
        );
        return () => scrapes > 0;
      },
      atRest: () => waitUntil('a scrape', END_MS, async () => (await metric('istio_requests_total')) > 0),
    });
  });

  test('one that ends takes the waypoint with it, which says why; the control plane starts another', async () => {
    environment({ WEFT_LAB_THREADS: String(THREADS), WEFT_DRILL: 'end-data-thread' });
    await mesh.lab.restart('control', 'SIGKILL');
    const restarted = async (how: NodeJS.Signals): Promise<void> => {
      const former = waypointPid();
      process.kill(former, how);
      await waitUntil('another waypoint, alone', END_MS, async () => waypointPid() !== former && !isAlive(former));
      await mesh.lab.waypointsReady();
      await answering();
    };
    await mesh.lab.waypointsReady();
    await restarted('SIGTERM'); // one with the new environment
    await restarted('SIGUSR2');
    assert.match(await waypointLog(mesh), /ERROR waypoint: this waypoint ends.*a thread that carries connections has ended/);
  });
});
