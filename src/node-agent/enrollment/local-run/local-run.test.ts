import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseIp } from '#model/address/ip.ts';
import { aWorkload } from '#model/mesh/mesh-fixtures.testing.ts';
import type { Registration } from '#model/mesh/registration.ts';
import type { Workload } from '#model/mesh/workload.ts';
import { UNSPREAD } from '#model/resilience/retry.ts';
import { SharedLogLevel } from '#model/telemetry/log-level.ts';
import { type AgentRig, collectingLog, startAgentRig } from '#node-agent/agent-rig.testing.ts';
import { ECHO } from '#node-agent/memory-net.testing.ts';
import { receivedBy, settle, until } from '#node-agent/memory-sockets.testing.ts';
import { agentStatus } from '#node-agent/status/agent-status.ts';
import { answerLocalApi } from '#node-agent/status/local-api.ts';
import { LocalWorkloads } from './local-workloads.ts';
import { workloadStore } from './workload-store.ts';

/** A machine: what outlives an agent. */
type Machine = {
  file: string | null;
  sandboxes: Map<string, string>;
  running: Set<string>;
  controlAway: boolean;
  told: string[][];
};

/** An agent with its local API on a machine whose control plane answers a registration with records. */
function startNode(machine: Machine, rig: AgentRig) {
  const local = new LocalWorkloads(rig.agent, {
    sandboxes: {
      async create({ name }) {
        const ip = machine.sandboxes.get(name) ?? `10.0.0.${machine.sandboxes.size + 1}`;
        if (!machine.sandboxes.has(name)) rig.net.add(`/netns/${name}`, [ip]);
        machine.sandboxes.set(name, ip);
        const link = { device: `wf-${name}`, mac: '02:00:00:00:00:01' };
        return {
          netnsPath: `/netns/${name}`,
          cgroupPath: `/cgroup/${name}`,
          addresses: [ip],
          resolvConfPath: `/etc/${name}`,
          link,
        };
      },
      list: async () => [...machine.sandboxes.keys()].map((name) => ({ namespace: 'shop', name })),
      async hold() {},
      async release() {},
      async end({ name }) {
        machine.running.delete(name);
      },
      async remove({ name }) {
        machine.sandboxes.delete(name);
        machine.running.delete(name);
      },
      isEmpty: ({ name }) => !machine.running.has(name),
    },
    async register(workloads) {
      if (machine.controlAway) throw new Error('UNAVAILABLE');
      machine.told.push(workloads.map(({ name, draining }) => (draining ? `${name} draining` : name)));
      rig.tell({ workloads: workloads.map(recordOf) });
      return { uids: workloads.map(({ name }) => uidOf(name)), refused: [] };
    },
    expectedUid: ({ name }) => uidOf(name),
    store: workloadStore({
      path: 'workloads.json',
      read: async () => machine.file,
      replace: async (text) => {
        machine.file = text;
      },
    }),
    clock: rig.clock,
    random: UNSPREAD,
    log: collectingLog(rig.lines),
  });
  const call = async (method: string, path: string, body: unknown = '') =>
    answerLocalApi(method, path, JSON.stringify(body), {
      start: (wanted) => local.start(wanted),
      stop: (key) => local.stop(key),
      drain: (key, draining) => local.drain(key, draining),
      isLeaving: () => false,
      handOver: async () => ({ pid: 1, sockets: rig.agent.succession.handOver(Promise.resolve()) }),
      cleanup: () => local.stopAll(),
      status: () => statusOf(rig, local),
      logLevel: new SharedLogLevel('info'),
    });
  return { rig, local, call };
}

const statusOf = (rig: AgentRig, local: LocalWorkloads) =>
  agentStatus({
    node: 'one',
    version: '1',
    pid: 1,
    agent: rig.agent,
    refused: new Map(),
    isDraining: (uid) => local.isDraining(uid),
    outside: local.outside(),
    certificates: [],
    controlPlane: { address: 'x:1', connected: true, syncedAtMs: null, error: null },
    degraded: [],
    metrics: null,
    maps: rig.kernel.maps,
    pinDir: '/pins',
    counters: {},
    spliceReaders: 'unknown',
    datagramsClear: false,
  });

const uidOf = (name: string): string => `k//Pod/shop/${name}`;
const recordOf = ({ name, addresses }: Registration): Workload => aWorkload(name, [...addresses]);
const aMachine = (): Machine => ({ file: null, sandboxes: new Map(), running: new Set(), controlAway: false, told: [] });
const wanted = (name: string) => ({ name, namespace: 'shop', serviceAccount: name, labels: { app: name } });

test('a workload that is started can be reached as soon as the answer is there', async () => {
  const machine = aMachine();
  const { rig, call } = startNode(machine, startAgentRig());
  const cart = await call('POST', '/v1/workloads', wanted('cart'));
  const web = await call('POST', '/v1/workloads', wanted('web'));
  assert.deepEqual([cart.status, web.status], [200, 200]);
  assert.deepEqual(web.body, {
    uid: uidOf('web'),
    addresses: ['10.0.0.2'],
    netnsPath: '/netns/web',
    cgroupPath: '/cgroup/web',
    resolvConfPath: '/etc/web',
  });
  rig.net.at('/netns/cart').apps.set(8080, ECHO);
  const socket = rig.dial(aWorkload('web', ['10.0.0.2']), '10.0.0.1:8080');
  const received = receivedBy(socket);
  socket.end('hello');
  await until(received.ended);
  assert.equal(received.text(), 'hello');
});

test('status shows what was started, ready when the control plane knows it', async () => {
  const machine = aMachine();
  const { call } = startNode(machine, startAgentRig());
  await call('POST', '/v1/workloads', wanted('cart'));
  const { body } = await call('GET', '/v1/status');
  const { enrolled } = body as ReturnType<typeof statusOf>;
  assert.deepEqual(
    enrolled.map(({ name, ready, addresses }) => [name, ready, addresses]),
    [['cart', true, ['10.0.0.1']]],
  );
});

test('while the control plane is away a workload starts after five seconds, and becomes ready when it is back', async () => {
  const machine = aMachine();
  machine.controlAway = true;
  const { rig, local, call } = startNode(machine, startAgentRig());
  const starting = call('POST', '/v1/workloads', wanted('cart'));
  await settle();
  rig.clock.advance(5_000);
  assert.equal((await starting).status, 200);
  assert.equal(statusOf(rig, local).enrolled[0]?.ready, false);
  assert.equal(
    rig.lines.some(({ level, message }) => level === 'warn' && message.includes('does not know this workload yet')),
    true,
  );
  machine.controlAway = false;
  rig.clock.advance(2_000); // the second wait
  await settle();
  assert.equal(statusOf(rig, local).enrolled[0]?.ready, true);
});

test('a stop undoes a start, and a second one changes nothing', async () => {
  const machine = aMachine();
  const { rig, call } = startNode(machine, startAgentRig());
  await call('POST', '/v1/workloads', wanted('cart'));
  for (let round = 0; round < 2; round++) {
    assert.equal((await call('DELETE', '/v1/workloads/shop/cart')).status, 204);
    await settle();
    assert.deepEqual([machine.sandboxes.size, rig.kernel.maps.workloads.entries(), JSON.parse(machine.file ?? '')], [0, [], []]);
  }
  assert.deepEqual(machine.told.at(-1), []);
});

test('two starts of one name at the same time: one wins', async () => {
  const machine = aMachine();
  const { call } = startNode(machine, startAgentRig());
  const replies = await Promise.all([
    call('POST', '/v1/workloads', wanted('cart')),
    call('POST', '/v1/workloads', wanted('cart')),
  ]);
  assert.deepEqual(replies.map(({ status }) => status).sort(), [200, 409]);
});

test('a stop wins over a start, at whatever moment of the start it comes', async () => {
  for (let moment = 1; moment < 60; moment++) {
    const machine = aMachine();
    const { rig, call } = startNode(machine, startAgentRig());
    const starting = call('POST', '/v1/workloads', wanted('cart'));
    for (let turn = 0; turn < moment; turn++) await Promise.resolve();
    await call('DELETE', '/v1/workloads/shop/cart');
    await settle();
    rig.clock.advance(5_000); // a start that waits for its record gives up
    await starting;
    await settle();
    const left = [rig.agent.enrollment.all(), rig.kernel.maps.workloads.entries(), JSON.parse(machine.file ?? '[]')];
    assert.deepEqual(left, [[], [], []], `a stop at moment ${moment}`);
  }
});

test('a name that is started again under another account, before its end was noticed, has the new identity', async () => {
  const machine = aMachine();
  const { rig, call } = startNode(machine, startAgentRig());
  await call('POST', '/v1/workloads', wanted('cart'));
  const starting = call('POST', '/v1/workloads', { ...wanted('cart'), serviceAccount: 'other' });
  await settle();
  rig.clock.advance(5_000); // the record of the former account is not this one's: it waits for its own, and goes on without
  assert.equal((await starting).status, 200);
  assert.deepEqual(
    rig.agent.enrollment.all().map(({ identity }) => identity.serviceAccount),
    ['other'],
  );
});

test('B51: a restarted agent serves again what its predecessor served, under the same numbers', async () => {
  const machine = aMachine();
  const first = startNode(machine, startAgentRig());
  await first.call('POST', '/v1/workloads', wanted('cart'));
  const before = first.rig.kernel.maps.workloads.entries();
  const second = startNode(machine, first.rig.restart());
  await second.local.restore();
  await settle();
  assert.deepEqual(second.rig.kernel.maps.workloads.entries(), before);
  assert.deepEqual(
    second.rig.agent.enrollment.all().map(({ request, addresses }) => [request.name, addresses]),
    [['cart', [parseIp('10.0.0.1')]]],
  );
  assert.deepEqual(machine.told.at(-1), ['cart'], 'and tells the control plane');
});

test('a workload that cannot be served again does not keep the others from it', async () => {
  const machine = aMachine();
  const first = startNode(machine, startAgentRig());
  await first.call('POST', '/v1/workloads', wanted('cart'));
  await first.call('POST', '/v1/workloads', wanted('web'));
  const next = first.rig.restart();
  next.net.at('/netns/cart').taken.add(15_001);
  const second = startNode(machine, next);
  await second.local.restore();
  assert.deepEqual(
    second.rig.agent.enrollment.all().map(({ request }) => request.name),
    ['web'],
  );
  assert.equal(
    second.rig.lines.some(({ message }) => message === 'cannot enroll a workload again'),
    true,
  );
});

test('after a reconnect the control plane is told the whole set again', async () => {
  const machine = aMachine();
  const { local, call } = startNode(machine, startAgentRig());
  await call('POST', '/v1/workloads', wanted('cart'));
  await call('POST', '/v1/workloads', wanted('web'));
  machine.told.length = 0;
  local.refreshRegistration();
  await settle();
  assert.deepEqual(machine.told, [['cart', 'web']]);
});

test('a cleanup leaves no workload, and nothing of them in the kernel', async () => {
  const machine = aMachine();
  const { rig, call } = startNode(machine, startAgentRig());
  for (const name of ['cart', 'web']) await call('POST', '/v1/workloads', wanted(name));
  assert.equal((await call('POST', '/v1/cleanup')).status, 204);
  assert.deepEqual([machine.sandboxes.size, rig.kernel.maps.workloads.entries(), rig.kernel.maps.names.entries()], [0, [], []]);
});

test('a name that would leave its directory is refused before anything is made', async () => {
  const machine = aMachine();
  const { call } = startNode(machine, startAgentRig());
  for (const name of ['../etc', '', 'Cart', 'a'.repeat(64)]) {
    assert.equal((await call('POST', '/v1/workloads', wanted(name))).status, 400);
  }
  assert.deepEqual([machine.sandboxes.size, machine.file], [0, null]);
});

test('however often the control plane refuses, one attempt waits; after the end none does', async () => {
  const machine = aMachine();
  machine.controlAway = true;
  const { rig, local } = startNode(machine, startAgentRig());
  const others = rig.clock.pendingMs().length; // of the agent itself
  await local.restore();
  for (let round = 0; round < 3; round++) {
    local.refreshRegistration();
    await settle();
  }
  assert.equal(rig.clock.pendingMs().length, others + 1);
  local.close();
  machine.controlAway = false;
  local.refreshRegistration();
  rig.clock.advance(60_000);
  await settle();
  assert.deepEqual([rig.clock.pendingMs().length, machine.told], [others, []]);
});

test('F8: nothing is registered before what another agent served is restored: it would take the rest away', async () => {
  const machine = aMachine();
  const { local } = startNode(machine, startAgentRig());
  local.refreshRegistration();
  await settle();
  assert.deepEqual(machine.told, []);
  await local.restore();
  await settle();
  assert.equal(machine.told.length, 1);
});

test('H22: what drains is told so, also by the agent that takes over, until it is told to serve again or is started anew', async () => {
  const machine = aMachine();
  const first = startNode(machine, startAgentRig());
  await first.call('POST', '/v1/workloads', wanted('cart'));
  await first.call('POST', '/v1/workloads', wanted('web'));
  assert.equal((await first.call('POST', '/v1/workloads/shop/cart/drain', { draining: true })).status, 204);
  assert.deepEqual(machine.told.at(-1), ['cart draining', 'web']);
  assert.deepEqual(
    statusOf(first.rig, first.local).enrolled.map(({ name, draining }) => [name, draining]),
    [
      ['cart', true],
      ['web', false],
    ],
  );
  const second = startNode(machine, first.rig.restart());
  await second.local.restore();
  await settle();
  assert.deepEqual(machine.told.at(-1), ['cart draining', 'web']);
  await second.call('POST', '/v1/workloads/shop/cart/drain', { draining: false });
  assert.deepEqual(machine.told.at(-1), ['cart', 'web']);
  assert.equal((await second.call('POST', '/v1/workloads/shop/none/drain', { draining: true })).status, 500);
});

test('H22: before a workload is told to end, the mesh is told to send it nothing new; a waypoint has its successor', async () => {
  const machine = aMachine();
  const { call } = startNode(machine, startAgentRig());
  await call('POST', '/v1/workloads', wanted('cart'));
  await call('POST', '/v1/workloads', { ...wanted('gate'), nativeTunnel: true });
  machine.told.length = 0;
  await call('DELETE', '/v1/workloads/shop/cart');
  await settle();
  assert.deepEqual(machine.told, [['cart draining', 'gate'], ['gate']]);
  machine.told.length = 0;
  await call('DELETE', '/v1/workloads/shop/gate');
  await settle();
  assert.deepEqual(machine.told, [[]]);
});
