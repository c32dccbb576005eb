import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, type TestContext, test } from 'node:test';
import type { Probe } from '#testbed/apps/probe-client.ts';
import type { App } from '#testbed/lab/app.ts';
import { waitUntil } from '#testbed/processes/wait.ts';
import { type Crowd, crowdIn, metricOf } from './crowd.testing.ts';
import { ask } from './dialling.testing.ts';
import { AttackedMesh, policyYaml, serviceYaml } from './mesh.testing.ts';
import { GATEWAY_YAML, WEB_PROGRAM, waypointLog, webServiceYaml } from './waypoint.testing.ts';

const [NEAR, FAR, MUTE, JUDGED] = ['10.96.122.1', '10.96.122.2', '10.96.122.3', '10.96.122.4'];
const [JUDGED_FAR, WEB] = ['10.96.122.7', '10.96.122.8'];
/** A process has 20,000 descriptors at most here: two of each side share what is held. */
const HOLDERS = ['10.96.122.5', '10.96.122.6'];
const QUIET_MS = 2_000;
/** By hand with 10,000 and 1,000. */
const HELD = Number(process.env.WEFT_HELD ?? 2_000);
const STALLED = Number(process.env.WEFT_STALLED ?? 100);
/** Of the disk that everything of the mesh lies on. */
const DISK_MIB = 128;
/** Connections, and requests, while it is full. */
const MEANWHILE = 20;
/** More round trips in `QUIET_MS` than there are while nobody is served. */
const TRIPS_MIN = 50;
/** Longer than any of it may take on a machine that does much else. */
const [ENFORCED_MS, NOISE_MS] = [10_000, 60_000];

type Ping = { count: number; p50Us: number; p99Us: number };

const program = (...args: string[]): string[] => [process.execPath, join(import.meta.dirname, 'apps/neighbour.ts'), ...args];
const echo = [process.execPath, join(import.meta.dirname, '../faults/apps/listener.ts'), '::', 'echo'];

/** One workload of the node takes all that it can get; how another one fares is told, with how long a change of policy takes. */
describe('a workload beside one that takes all it can get', () => {
  let mesh: AttackedMesh;
  let quiet: App;
  let greedy: App;
  let witness: Probe;
  let crowds: Crowd[];
  const disk = mkdtempSync(join(tmpdir(), 'weft-disk-'));
  const alone = new Map<string, Ping>();

  before(async () => {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK_MIB}m`, 'weft-test', disk]);
    const services = [
      serviceYaml('near', NEAR),
      serviceYaml('far', FAR),
      serviceYaml('mute', MUTE),
      serviceYaml('judged', JUDGED),
      serviceYaml('judged-far', JUDGED_FAR),
      webServiceYaml({ name: 'web', vip: WEB, bound: true }),
      GATEWAY_YAML,
    ];
    for (const [at, vip] of HOLDERS.entries()) services.push(serviceYaml(`holder-${at}`, vip));
    mesh = await AttackedMesh.up({ 'services.yaml': services.join('---\n') }, 2, disk);
    await mesh.start({ name: 'near', node: 'alpha', command: echo });
    await mesh.start({ name: 'far', node: 'beta', command: echo });
    await mesh.start({ name: 'mute', node: 'beta', command: program('mute') });
    await mesh.echo('judged', 'alpha');
    await mesh.echo('judged-far', 'beta');
    await mesh.start({ name: 'web', node: 'beta', command: WEB_PROGRAM });
    for (const at of HOLDERS.keys()) await mesh.start({ name: `holder-${at}`, node: 'alpha', command: program('mute') });
    quiet = await mesh.start({ name: 'quiet', node: 'alpha', command: program() });
    greedy = await mesh.start({ name: 'greedy', node: 'alpha', command: program() });
    witness = await mesh.probe('witness', 'alpha');
    await mesh.lab.waypointsReady();
    await waitUntil('the waypoint', ENFORCED_MS, async () => (await served(1)) === 1);
    crowds = [await crowdIn(mesh, 'greedy'), await crowdIn(mesh, 'greedy')];
    for (const vip of [NEAR, FAR]) alone.set(vip, await ping(vip));
  });
  after(async () => {
    try {
      await mesh?.down();
    } finally {
      execFileSync('umount', ['-l', disk]);
      rmSync(disk, { recursive: true });
    }
  });

  const ping = async (vip: string): Promise<Ping> =>
    (await ask<{ ping: Ping }>(quiet.child, `ping ${vip} 7 ${QUIET_MS}`, 'ping')).ping;

  /** How many of so many requests the waypoint has answered. */
  const served = async (count: number): Promise<number> =>
    (await witness.http({ host: WEB, port: 80, path: '/meanwhile', count })).statuses[200] ?? 0;

  const isRefused = async (host: string): Promise<boolean> => (await witness.connect({ host, port: 7 })).error !== null;

  /** How long it takes from the write of a policy until a workload's node refuses by it. */
  async function enforced(app: string, host: string): Promise<number> {
    mesh.write('deny.yaml', policyYaml('deny', app, 'DENY', ['witness']));
    const startedMs = performance.now();
    await waitUntil('a refusal', ENFORCED_MS, () => isRefused(host));
    const tookMs = performance.now() - startedMs;
    mesh.write('deny.yaml', null);
    await waitUntil('the end of it', ENFORCED_MS, async () => !(await isRefused(host)));
    return Math.round(tookMs);
  }

  async function told(t: TestContext): Promise<void> {
    for (const [name, vip] of [
      ['near', NEAR],
      ['far', FAR],
    ] as const) {
      const [before, now] = [alone.get(vip), await ping(vip)];
      assert.ok(now.count > 0);
      const ratio = (now.p99Us / (before?.p99Us ?? 1)).toFixed(2);
      t.diagnostic(`${name}: p99 ${now.p99Us} µs, ${ratio} of alone; p50 ${now.p50Us} (${before?.p50Us}) µs`);
    }
    const [here, there] = [await enforced('judged', JUDGED), await enforced('judged-far', JUDGED_FAR)];
    t.diagnostic(`a policy was in force after ${here} ms, on the other node after ${there} ms`);
  }

  test('S15: alone', (t) => told(t));

  test(`S15: beside ${2 * HELD} open connections`, async (t) => {
    const outcomes = await Promise.all(crowds.map((crowd, at) => crowd.hold(HELD, HOLDERS[at] ?? '', 7)));
    t.diagnostic(JSON.stringify(outcomes));
    await told(t);
    await Promise.all(crowds.map((crowd) => crowd.drop()));
  });

  test('S16: beside a flood of dials that are refused', async (t) => {
    const flood = crowds.map((crowd) => crowd.loop(5 * QUIET_MS, NEAR, 81));
    await told(t);
    t.diagnostic(JSON.stringify(await Promise.all(flood)));
  });

  test(`S16: beside ${STALLED} connections to another node whose readers have stopped`, async (t) => {
    const { stalled } = await ask<{ stalled: number }>(greedy.child, `stall ${MUTE} 7 ${STALLED}`, 'stalled', NOISE_MS);
    assert.equal(stalled, STALLED);
    t.diagnostic('while what is under way goes as far as it can');
    await told(t);
    await waitUntil('others to be served as before', NOISE_MS, async () => (await ping(FAR)).count > TRIPS_MIN);
    t.diagnostic('when it has');
    await told(t);
  });

  test('S15: beside one that fills the disk of the logs and the state, and takes what others give back', async (t) => {
    const complaints = async (): Promise<string[]> =>
      (await mesh.status('alpha')).degraded.filter((sentence) => sentence.includes('log is full'));
    const completions = async (): Promise<string[]> =>
      (await mesh.log('alpha'))
        .split('\n')
        .filter((line) => line.includes('connection complete') && line.includes('/sa/witness'));
    const requests = async (): Promise<number> => (await waypointLog(mesh)).split('/meanwhile').length - 1;
    assert.deepEqual(await complaints(), []);
    const before = { completions: (await completions()).length, requests: await requests() };
    const ballast = join(disk, 'ballast');
    await ask(greedy.child, `fill ${ballast}`, 'filled', NOISE_MS);
    await told(t);
    for (let at = 0; at < MEANWHILE; at++) assert.equal(await isRefused(JUDGED_FAR), false);
    assert.equal(await served(MEANWHILE), MEANWHILE);
    await waitUntil('status to tell it', NOISE_MS, async () => (await complaints()).length === 1);
    assert.equal(await metricOf(mesh, 'alpha', 'weft_log_disk_full'), 1);

    await ask(greedy.child, 'free', 'freed');
    await waitUntil('the log to go on', NOISE_MS, async () => (await complaints()).length === 0);
    await waitUntil(
      'what waited',
      NOISE_MS,
      async () =>
        (await completions()).length >= before.completions + MEANWHILE && (await requests()) >= before.requests + MEANWHILE,
    );
    // Whole lines: no two ran into one another where the disk had ended.
    for (const line of await completions()) assert.match(line, /^\d\d:\d\d:\d\d\.\d{3} [A-Z]+ +agent: connection complete /);
  });
});
