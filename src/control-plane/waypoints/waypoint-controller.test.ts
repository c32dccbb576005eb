import assert from 'node:assert/strict';
import test from 'node:test';
import { SILENT_LOG } from '#model/effects/log.ts';
import { CERTIFICATE, CONTROL } from '#model/settings/control-planes.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import { type LiveWaypoint, planWaypoints, restartDelayMs, type WaypointRunner, type WaypointSpec, waypointKey } from './plan.ts';
import { WaypointController } from './waypoint-controller.ts';

function spec(name: string, changes: Partial<WaypointSpec> = {}): WaypointSpec {
  return {
    namespace: 'shop',
    name,
    serviceAccount: name,
    labels: { 'gateway.networking.k8s.io/gateway-name': name },
    ...changes,
  };
}

/** A runner whose processes are entries of a map; `calls` tells what was asked of it. */
function memoryRunner(alive: WaypointSpec[] = []) {
  const processes = new Map<string, LiveWaypoint>(alive.map((one) => [waypointKey(one), one]));
  const calls: string[] = [];
  const failing = { start: false };
  const runner: WaypointRunner = {
    async start(one, token) {
      calls.push(`start ${one.name} ${token}`);
      if (failing.start) throw new Error('the agent is not up yet');
      processes.set(waypointKey(one), one);
    },
    async renew({ name }, token) {
      calls.push(`renew ${name} ${token}`);
    },
    async stop({ namespace, name }) {
      calls.push(`stop ${name}`);
      processes.delete(`${namespace}/${name}`);
    },
    list: async () => [...processes.values()],
  };
  return { runner, processes, calls, failing };
}

function controllerOver(memory: ReturnType<typeof memoryRunner>) {
  const clock = new SteppedClock();
  const controller = new WaypointController({
    runner: memory.runner,
    mintToken: async ({ serviceAccount }) => `token-of-${serviceAccount}`,
    clock,
    log: SILENT_LOG,
  });
  const settle = async () => {
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  };
  const advance = async (ms: number) => {
    for (let left = ms; left > 0; left -= 500) {
      clock.advance(Math.min(500, left));
      await settle();
    }
  };
  return { controller, clock, settle, advance };
}

test('one waypoint is started per Gateway, with a token of its own identity', async () => {
  const memory = memoryRunner();
  const { controller, settle } = controllerOver(memory);
  controller.change(new Map([['shop/w', spec('w')]]));
  controller.start();
  await settle();
  assert.deepEqual(memory.calls, ['start w token-of-w']);
  assert.equal(controller.states()[0]?.state, 'running');
});

test('nothing happens before start: what is desired is not complete yet', async () => {
  const memory = memoryRunner([spec('old')]);
  const { controller, settle } = controllerOver(memory);
  controller.change(new Map([['shop/w', spec('w')]]));
  await settle();
  assert.deepEqual(memory.calls, []);
});

test('waypoints of an earlier control plane are adopted, not started again; others are stopped', async () => {
  const memory = memoryRunner([spec('w'), spec('orphan')]);
  const { controller, settle } = controllerOver(memory);
  controller.change(new Map([['shop/w', spec('w')]]));
  controller.start();
  await settle();
  assert.deepEqual(memory.calls.sort(), ['renew w token-of-w', 'stop orphan']);
  assert.deepEqual(
    controller.states().map(({ state, restarts }) => [state, restarts]),
    [['running', 0]],
  );
});

test('H7: a waypoint that runs is handed its next token long before the one that it has ends', async () => {
  const memory = memoryRunner();
  const { controller, clock, settle } = controllerOver(memory);
  controller.change(new Map([['shop/w', spec('w')]]));
  controller.start();
  await settle();
  clock.advance(CERTIFICATE.waypointTokenRenewMs);
  await settle();
  assert.deepEqual(memory.calls, ['start w token-of-w', 'renew w token-of-w']);
  assert.ok(CERTIFICATE.waypointTokenRenewMs * 3 < CERTIFICATE.waypointTokenMs);
  memory.processes.clear();
  memory.failing.start = true;
  clock.advance(CONTROL.lookEveryMs);
  await settle();
  clock.advance(CERTIFICATE.waypointTokenRenewMs);
  await settle();
  assert.ok(!memory.calls.slice(2).some((call) => call.startsWith('renew')), 'none for one that does not run');
});

test('a waypoint that died is started again, each time after a longer pause', async () => {
  const memory = memoryRunner();
  const { controller, settle, advance } = controllerOver(memory);
  controller.change(new Map([['shop/w', spec('w')]]));
  controller.start();
  await settle();
  for (const pauseMs of [1_500, 2_500, 4_500]) {
    memory.processes.clear();
    const before = memory.calls.length;
    await advance(pauseMs);
    assert.equal(memory.calls.length, before + 1, `after ${pauseMs}`);
  }
  memory.processes.clear();
  await advance(1_000);
  assert.deepEqual(
    controller.states().map(({ state, restarts, problem }) => [state, restarts, problem]),
    [['stopped', 4, 'its process ended']],
  );
});

test('a waypoint that cannot be started is tried again and says why meanwhile', async () => {
  const memory = memoryRunner();
  memory.failing.start = true;
  const { controller, settle, advance } = controllerOver(memory);
  controller.change(new Map([['shop/w', spec('w')]]));
  controller.start();
  await settle();
  assert.deepEqual(
    controller.states().map(({ state, problem }) => [state, problem]),
    [['stopped', 'the agent is not up yet']],
  );
  memory.failing.start = false;
  await advance(2_000);
  assert.deepEqual(
    controller.states().map(({ state, problem }) => [state, problem]),
    [['running', null]],
  );
});

test('a Gateway that is gone ends its waypoint', async () => {
  const memory = memoryRunner();
  const { controller, settle } = controllerOver(memory);
  controller.change(new Map([['shop/w', spec('w')]]));
  controller.start();
  await settle();
  controller.change(new Map([['shop/w', null]]));
  await settle();
  assert.deepEqual(memory.calls, ['start w token-of-w', 'stop w']);
  assert.deepEqual([memory.processes.size, controller.states()], [0, []]);
});

test('a Gateway with another identity gets a new process, and that is no failure', async () => {
  const memory = memoryRunner();
  const { controller, settle } = controllerOver(memory);
  controller.change(new Map([['shop/w', spec('w')]]));
  controller.start();
  await settle();
  controller.change(new Map([['shop/w', spec('w', { serviceAccount: 'other' })]]));
  await settle();
  assert.deepEqual(memory.calls, ['start w token-of-w', 'stop w', 'start w token-of-other']);
  assert.equal(controller.states()[0]?.restarts, 0);
});

test('stop leaves the waypoints running and starts no more', async () => {
  const memory = memoryRunner();
  const { controller, settle, advance } = controllerOver(memory);
  controller.change(new Map([['shop/w', spec('w')]]));
  controller.start();
  await settle();
  await controller.stop();
  controller.change(new Map([['shop/x', spec('x')]]));
  await advance(5_000);
  assert.deepEqual([...memory.processes.keys()], ['shop/w']);
});

test('stopAll ends every waypoint', async () => {
  const memory = memoryRunner([spec('x')]);
  const { controller, settle } = controllerOver(memory);
  controller.change(
    new Map([
      ['shop/w', spec('w')],
      ['shop/x', spec('x')],
    ]),
  );
  controller.start();
  await settle();
  await controller.stopAll();
  assert.equal(memory.processes.size, 0);
});

test('a start that must wait is not planned before its time', () => {
  const desired = new Map([['shop/w', spec('w')]]);
  const attempts = new Map([['shop/w', { failures: 1, notBeforeMs: 100 }]]);
  assert.deepEqual(planWaypoints(desired, new Map(), attempts, 99), []);
  assert.deepEqual(planWaypoints(desired, new Map(), attempts, 100), [{ kind: 'start', spec: spec('w') }]);
});

test('pauses before a restart double from half a second to half a minute', () => {
  assert.deepEqual([1, 2, 3, 7, 100].map(restartDelayMs), [500, 1_000, 2_000, 30_000, 30_000]);
});

test('F3: a waypoint that is leaving is followed by another at once, which is no failure; one that nobody wants is stopped', async () => {
  const memory = memoryRunner([spec('w'), spec('orphan')]);
  const { controller, settle, advance } = controllerOver(memory);
  controller.change(new Map([['shop/w', spec('w')]]));
  controller.start();
  await settle();
  memory.calls.length = 0;
  memory.processes.set('shop/w', { ...spec('w'), leaving: true });
  memory.processes.set('shop/orphan', { ...spec('orphan'), leaving: true });
  await advance(CONTROL.lookEveryMs);
  assert.deepEqual(memory.calls.sort(), ['start w token-of-w', 'stop orphan']);
  assert.deepEqual(
    controller.states().map(({ state, restarts, problem }) => [state, restarts, problem]),
    [['running', 0, null]],
  );
});

test('F3: a description that changed is no succession: what leaves is stopped, and the next one starts afterwards', () => {
  const running = new Map([['shop/w', { ...spec('w'), leaving: true as const }]]);
  const desired = new Map([['shop/w', spec('w', { serviceAccount: 'other' })]]);
  assert.deepEqual(
    planWaypoints(desired, running, new Map(), 0).map(({ kind }) => kind),
    ['stop'],
  );
});
