import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { PORT } from '#model/mesh/ports.ts';
import { WAYPOINT } from '#model/settings/waypoints.ts';
import type { App } from '#testbed/lab/app.ts';
import { command } from '#testbed/processes/command.ts';
import { inNetnsOf } from '#testbed/processes/command-lines.ts';
import { waitUntil } from '#testbed/processes/wait.ts';
import { ask } from '../security/dialling.testing.ts';
import { AttackedMesh } from '../security/mesh.testing.ts';
import { GATEWAY_YAML } from '../security/waypoint.testing.ts';

const VIP = '10.96.103.1';
const serviceYaml = (labels: string): string => `apiVersion: v1
kind: Service
metadata: { name: called, namespace: attacks, labels: { ${labels} } }
spec:
  clusterIP: ${VIP}
  selector: { app: called }
  ports:
    - { name: web, port: 7000, appProtocol: http }
    - { name: grpc, port: 7003, appProtocol: grpc }
`;
const program = (name: string, ...args: string[]): string[] => [
  process.execPath,
  join(import.meta.dirname, 'apps', `${name}.ts`),
  ...args,
];
/** The waypoint runs on alpha, and so does the app. */
const CLIENTS = { near: 'alpha', far: 'beta' } as const;
const WHERE = ['near', 'far'] as const;
type Where = (typeof WHERE)[number];
const SETTLE_MS = 10_000;
const LOAD_MS = 1_500;

type Tally = Record<'http' | 'grpc', { calls: number; failed: string[] }>;

/** Real clients and a real app on both sides of a waypoint, which serves in two threads. */
describe('through a waypoint', () => {
  let mesh: AttackedMesh;
  let called: App;
  const clients = new Map<Where, App>();
  const cancelled: string[] = [];

  const startClient = (where: Where, name: string = where): Promise<App> =>
    mesh.start({ name, node: CLIENTS[where], command: program('through-client', VIP) });
  const tell = <Told>(where: Where, what: string): Promise<Told> => said<Told>(clients.get(where), what);
  const said = async <Told>(client: App | undefined, what: string): Promise<Told> => {
    assert.ok(client !== undefined);
    return (await ask<Record<string, Told>>(client.child, what, what))[what] as Told;
  };
  const waypointPid = (): number => {
    const kept = readFileSync(join(mesh.lab.paths.waypointDir, 'attacks.waypoint.json'), 'utf8');
    return (JSON.parse(kept) as { pid: number }).pid;
  };
  const isAlive = (pid: number): boolean => {
    try {
      return process.kill(pid, 0);
    } catch {
      return false;
    }
  };

  before(async () => {
    process.env.WEFT_LAB_THREADS ||= '2';
    mesh = await AttackedMesh.up({ 'called.yaml': serviceYaml('istio.io/use-waypoint: waypoint'), 'gateway.yaml': GATEWAY_YAML });
    called = await mesh.start({ name: 'called', node: 'alpha', command: program('through-server') });
    called.child.onLine((line) => void (line.startsWith('{"cancelled"') && cancelled.push(JSON.parse(line).cancelled)));
    await mesh.lab.waypointsReady();
    for (const where of WHERE) clients.set(where, await startClient(where));
    await waitUntil('answers', SETTLE_MS, async () =>
      (await Promise.all(WHERE.map((where) => tell<{ status?: number }>(where, 'refuse')))).every(({ status }) => status === 417),
    );
  });
  after(async () => {
    process.env.WEFT_LAB_THREADS = '';
    await mesh?.down();
  });

  /** Runs `changing` while both clients call: every call is answered. */
  async function undisturbed(t: TestContext, changing: () => Promise<unknown>): Promise<void> {
    for (const where of WHERE) await tell(where, 'begin');
    await sleep(LOAD_MS);
    await changing();
    await sleep(LOAD_MS);
    for (const where of WHERE) {
      const tally = await tell<Tally>(where, 'report');
      t.diagnostic(`${where}: ${JSON.stringify(tally)}`);
      for (const [way, { calls, failed }] of Object.entries(tally)) {
        assert.deepEqual(failed, [], where);
        assert.ok(calls > 20, `${calls} ${way} calls of ${where}`);
      }
    }
  }

  for (const where of WHERE) {
    test(`F17: ${where}: it is the app that says 100, or refuses without having seen the body`, async () => {
      const { status, continueAt, toldAt, bodyAt } = await tell<Record<string, number>>(where, 'expect');
      assert.equal(status, 200);
      assert.ok(Number(continueAt) >= Number(toldAt) && Number(bodyAt) >= Number(toldAt), 'told before the app said so');
      assert.deepEqual(await tell(where, 'refuse'), { status: 417, continueAt: null });
    });

    test(`F14: ${where}: metadata that occurs more than once stays apart and in order, in heads and trailers, both ways`, async () => {
      // The library joins texts itself, in order; bytes cannot be joined.
      const values = [['one, two, three, one'], ['61', 'ff00']];
      assert.deepEqual(await tell(where, 'metadata'), { head: values, trailers: values });
    });

    test(`F5: ${where}: four streams that nobody reads hold up no call of their own channel, nor of the other client`, async () => {
      const stalled = tell<{ slowestMs: number }>(where, 'stall');
      await tell(where === 'near' ? 'far' : 'near', 'metadata');
      const { slowestMs } = await stalled;
      assert.ok(slowestMs < 2_000, `${slowestMs} ms`);
      await waitUntil('cancelled streams', SETTLE_MS, async () => cancelled.length >= 4);
      cancelled.length = 0;
    });

    test(`F1: ${where}: a client process that is gone ends its streams at the app`, async () => {
      const client = await startClient(where, `leaving-${where}`);
      const pid = await said<number>(client, 'hold');
      process.kill(client.pid, 'SIGKILL');
      await waitUntil('end of its stream', SETTLE_MS, async () => cancelled.includes(`held-by-${pid}`));
    });
  }

  test('F3: a waypoint that is told to stop serves until the next one has its sockets; no client notices, near or far', async (t) => {
    const former = waypointPid();
    await undisturbed(t, async () => {
      process.kill(former, 'SIGTERM');
      await waitUntil('another waypoint, alone', WAYPOINT.followedMs + WAYPOINT.drainMs, async () => !isAlive(former));
      assert.equal(isAlive(waypointPid()), true, 'one ended before another was there');
    });
    assert.notEqual(waypointPid(), former);
  });

  test('F4: a service that leaves its waypoint strands nobody: every call is answered, and then goes past it', async (t) => {
    await undisturbed(t, async () => {
      mesh.write('called.yaml', serviceYaml(''));
      const open = inNetnsOf(waypointPid(), ['ss', '-tnH', 'state', 'established', `sport = :${PORT.waypoint}`]);
      await waitUntil('calls past the waypoint', SETTLE_MS, async () => (await command(open)).trim() === '');
    });
  });
});
