import assert from 'node:assert/strict';
import test from 'node:test';
import { nodeNameOf, planMesh, type UpOptions } from '#cli/up.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import { type Keeper, keep } from './keeper.ts';
import type { Part } from './part.ts';
import { afterEnding, type Ending } from './restart.ts';

const OPTIONS: UpOptions = {
  directory: 'mesh',
  node: null,
  runDir: '/run/weft',
  stateDir: '/var/lib/weft',
  pool4: '10.41.0.0/24',
  pool6: 'fd41:0:0:1::/64',
  trustDomain: 'cluster.local',
  pathNormalization: 'BASE',
  rateLimitService: null,
  accessLogFormat: null,
  listen: { host: '::1', port: 15_012 },
  detach: false,
};

test('the parts of a mesh meet in the run directory', () => {
  const plan = planMesh(OPTIONS, 'Rack7_b');
  const line = (args: readonly string[]) => args.join(' ');
  assert.equal(
    line(plan.controlArgs),
    'control --config mesh --state-dir /var/lib/weft --listen [::1]:15012 --trust-domain cluster.local --path-normalization BASE' +
      ' --waypoint-agent /run/weft/rack7-b/agent.sock --socket /run/weft/control.sock',
  );
  const place = '--node rack7-b --run-dir /run/weft --pool4 10.41.0.0/24 --pool6 fd41:0:0:1::/64';
  assert.equal(
    line(plan.agentArgs),
    `agent ${place} --trust-domain cluster.local --control [::1]:15012 --control-root /run/weft/rack7-b/control-root.pem --token-file /run/weft/rack7-b/token --wait 1m`,
  );
  assert.equal(line(plan.cleanupArgs), `agent ${place} --cleanup`);
});

test('--node wins over the host name', () => assert.equal(planMesh({ ...OPTIONS, node: 'a' }, 'b').node, 'a'));

const hosts: [string, string][] = [
  ['db.example.org', 'db.example.org'],
  ['Café_3-', 'caf--3'],
  ['___', 'node'],
];
for (const [host, node] of hosts) test(`the host ${host} becomes the node ${node}`, () => assert.equal(nodeNameOf(host), node));

const BROKEN: Ending = { code: 1, signal: null };
const HEALTHY = { ready: true, ranMs: 1_000, failures: 0 };
const rules = [
  {
    name: 'a part that leaves on purpose ends the mesh',
    ending: { code: 0, signal: null },
    state: HEALTHY,
    want: { kind: 'end', exitCode: 0 },
  },
  {
    name: 'a part that never worked ends the mesh',
    ending: BROKEN,
    state: { ...HEALTHY, ready: false },
    want: { kind: 'end', exitCode: 1 },
  },
  { name: 'a part that breaks is started again', ending: BROKEN, state: HEALTHY, want: { kind: 'restart', delayMs: 500 } },
  {
    name: 'a part that was killed is started again',
    ending: { code: null, signal: 'SIGKILL' },
    state: HEALTHY,
    want: { kind: 'restart', delayMs: 500 },
  },
  { name: 'waiting doubles', ending: BROKEN, state: { ...HEALTHY, failures: 3 }, want: { kind: 'restart', delayMs: 4_000 } },
  { name: 'waiting is bounded', ending: BROKEN, state: { ...HEALTHY, failures: 99 }, want: { kind: 'restart', delayMs: 30_000 } },
  {
    name: 'a healthy minute forgives',
    ending: BROKEN,
    state: { ready: true, ranMs: 60_000, failures: 9 },
    want: { kind: 'restart', delayMs: 500 },
  },
];
for (const { name, ending, state, want } of rules) test(name, () => assert.deepEqual(afterEnding(ending, state), want));

/** A keeper over parts that end when the test says so. */
function kept(up: boolean) {
  const clock = new SteppedClock();
  const parts: { end(ending: Ending): void; stopped: number[] }[] = [];
  const told: string[] = [];
  const start = (): Part => {
    const { promise, resolve } = Promise.withResolvers<Ending>();
    const stopped: number[] = [];
    parts.push({ end: resolve, stopped });
    return {
      pid: parts.length,
      ended: promise,
      async stop(waitMs) {
        stopped.push(waitMs);
        resolve({ code: 0, signal: null });
        return promise;
      },
    };
  };
  const keeper: Keeper = keep({
    name: 'the agent',
    start,
    meshIsUp: () => up,
    clock,
    tell: (sentence) => void told.push(sentence),
  });
  const settle = () => new Promise((resolve) => setImmediate(resolve));
  return { clock, parts, told, keeper, settle };
}

test('a broken part is started again after the delay, and that is told', async () => {
  const { clock, parts, told, settle } = kept(true);
  parts[0]?.end(BROKEN);
  await settle();
  assert.deepEqual(told, ['the agent ended with exit code 1; starting it again in 0.5 s']);
  clock.advance(499);
  await settle();
  assert.equal(parts.length, 1);
  clock.advance(1);
  await settle();
  assert.equal(parts.length, 2);
});

test('before the mesh is up a broken part is given up', async () => {
  const { parts, keeper } = kept(false);
  parts[0]?.end(BROKEN);
  assert.deepEqual(await keeper.departed, { name: 'the agent', ending: BROKEN, exitCode: 1 });
});

test('a stopped part is not started again', async () => {
  const { clock, parts, told, keeper, settle } = kept(true);
  await keeper.stop(7_000);
  clock.advance(60_000);
  await settle();
  assert.deepEqual([parts.length, parts[0]?.stopped, told], [1, [7_000], []]);
});

test('a part that is stopped while it waits for its restart stays away', async () => {
  const { clock, parts, keeper, settle } = kept(true);
  parts[0]?.end(BROKEN);
  await settle();
  await keeper.stop(7_000);
  clock.advance(60_000);
  await settle();
  assert.equal(parts.length, 1);
});
