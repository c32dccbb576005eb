import assert from 'node:assert/strict';
import test from 'node:test';
import { MemoryStore } from '#model/effects/memory-store.testing.ts';
import { WeftError } from '#model/error.ts';
import type { WorkloadRequest } from '#model/mesh/registration.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import type { WaypointSpec } from './plan.ts';
import { processRunner } from './process-runner.ts';

const SPEC: WaypointSpec = {
  namespace: 'shop',
  name: 'waypoint',
  serviceAccount: 'shop-waypoint',
  labels: { 'gateway.networking.k8s.io/gateway-name': 'waypoint' },
};
const OTHER: WaypointSpec = { ...SPEC, namespace: 'books' };

/** A machine in memory: processes are entries of a map, each with the moment of its start; ids are handed out in order. */
function machine() {
  const alive = new Map<number, { startTime: string; command: readonly string[]; logFile: string; ended: () => void }>();
  const signals: string[] = [];
  const made: WorkloadRequest[] = [];
  const removed: string[] = [];
  const forgotten: string[] = [];
  const behaviour = { launches: true, heeds: ['SIGTERM', 'SIGKILL'], agent: null as WeftError | null };
  let pids = 100;
  const die = (pid: number) => {
    const process = alive.get(pid);
    alive.delete(pid);
    process?.ended();
  };
  return {
    alive,
    signals,
    made,
    removed,
    forgotten,
    behaviour,
    die,
    agent: {
      status: async () => ({ node: 'node-1', kernel: { pinDir: '/sys/fs/bpf/weft/node-1' } }),
      async start(workload: WorkloadRequest) {
        made.push(workload);
        return { uid: 'u', addresses: ['10.41.0.9'], netnsPath: '/n', cgroupPath: '/c', resolvConfPath: '/r' };
      },
      async stop(namespace: string, name: string) {
        if (behaviour.agent !== null) throw behaviour.agent;
        removed.push(`${namespace}/${name}`);
      },
    },
    processes: {
      launch(_sandbox: unknown, command: readonly string[], logFile: string, ended: () => void) {
        if (!behaviour.launches) return null;
        const pid = pids++;
        alive.set(pid, { startTime: `born-${pid}`, command, logFile, ended });
        return pid;
      },
      forgetLog: (file: string) => void forgotten.push(file),
      startTimeOf: (pid: number) => alive.get(pid)?.startTime ?? null,
      signal(pid: number, name: string) {
        signals.push(`${name} ${pid}`);
        if (behaviour.heeds.includes(name)) die(pid);
      },
    },
  };
}

/** A runner over a machine; another one over the same machine and store is the next control plane's. */
function runnerOn(host: ReturnType<typeof machine>, store = new MemoryStore(), clock = new SteppedClock()) {
  const runner = processRunner({
    agent: host.agent,
    processes: host.processes,
    store,
    dir: '/run/weft/waypoints',
    logFileOf: ({ namespace, name }) => `/var/lib/weft/logs/waypoint-${namespace}.${name}.log`,
    weft: ['node', '/weft.ts'],
    controlAddress: 'unix:/run/weft/discovery.sock',
    rootFile: '/var/lib/weft/root-cert.pem',
    accessLogFormat: '%PROTOCOL% %DURATION%',
    clock,
  });
  /** Lets a task run whose timers nobody but this clock moves. */
  const advance = async (ms: number) => {
    for (let passedMs = 0; passedMs < ms; passedMs += 10) {
      for (let turn = 0; turn < 5; turn++) await Promise.resolve();
      clock.advance(10);
    }
    for (let turn = 0; turn < 5; turn++) await Promise.resolve();
  };
  return { runner, store, clock, advance };
}

test('a waypoint is a workload of the node that speaks HBONE, started as the command it is, its token a secret', async () => {
  const host = machine();
  const { runner, store } = runnerOn(host);
  await runner.start(SPEC, 'a-token');
  assert.deepEqual(host.made, [{ ...SPEC, labels: { ...SPEC.labels }, nativeTunnel: true }]);
  const [process] = host.alive.values();
  assert.equal(
    process?.command.join(' '),
    'node /weft.ts waypoint --namespace shop --gateway waypoint --service-account shop-waypoint --node node-1 ' +
      '--control unix:/run/weft/discovery.sock --control-root /var/lib/weft/root-cert.pem ' +
      '--token-file /run/weft/waypoints/shop.waypoint.token --leaving-file /run/weft/waypoints/shop.waypoint.leaving --pin-dir /sys/fs/bpf/weft/node-1 ' +
      '--access-log-format %PROTOCOL% %DURATION%',
  );
  assert.equal(process?.logFile, '/var/lib/weft/logs/waypoint-shop.waypoint.log');
  assert.equal(store.texts.get('shop.waypoint.token'), 'a-token');
  assert.deepEqual([...store.secrets].sort(), ['shop.waypoint.json', 'shop.waypoint.token']);
});

test('what runs is listed, also by the next control plane; what died is not', async () => {
  const host = machine();
  const { runner, store } = runnerOn(host);
  await runner.start(SPEC, 't');
  await runner.start(OTHER, 't');
  const { runner: next } = runnerOn(host, store);
  assert.deepEqual(await next.list(), [OTHER, SPEC]);
  host.die(100);
  assert.deepEqual([await runner.list(), await next.list()], [[OTHER], [OTHER]]);
});

test('F3: one that says that it is leaving is told as such, and the next one is started in the same sandbox, beside it', async () => {
  const host = machine();
  const { runner, store } = runnerOn(host);
  await runner.start(SPEC, 't');
  await store.write('shop.waypoint.leaving', '100', { secret: true });
  assert.deepEqual(await runner.list(), [{ ...SPEC, leaving: true }]);
  await runner.start(SPEC, 't');
  assert.deepEqual([[...host.alive.keys()], host.signals, await runner.list()], [[100, 101], [], [SPEC]]);
  assert.equal(host.made.length, 1);
  host.die(100);
  assert.deepEqual(await runner.list(), [SPEC]);
});

test('F3: one that ends before it could take the place of another leaves that one, and its sandbox, to the next', async () => {
  const host = machine();
  const { runner, store } = runnerOn(host);
  await runner.start(SPEC, 't');
  await store.write('shop.waypoint.leaving', '100', { secret: true });
  await runner.start(SPEC, 't');
  for (const failed of [101, 102]) {
    host.die(failed);
    assert.deepEqual(await runner.list(), []);
    await runner.start(SPEC, 't');
  }
  assert.deepEqual([[...host.alive.keys()], host.made.length], [[100, 103], 1]);
  host.die(100);
  host.die(103);
  await runner.start(SPEC, 't');
  assert.equal(host.made.length, 2);
});

test('F3: one that is stopped for good finds that nobody follows it', async () => {
  const host = machine();
  host.behaviour.heeds = [];
  const { runner, store, advance } = runnerOn(host);
  await runner.start(SPEC, 't');
  const stopping = runner.stop(SPEC);
  await advance(100);
  assert.deepEqual([host.signals, store.texts.get('shop.waypoint.leaving')], [['SIGTERM 100'], '']);
  assert.deepEqual(await runner.list(), [SPEC], 'what a control plane left half stopped is found by the next one');
  host.die(100);
  await advance(1_000);
  await stopping;
  assert.equal(store.texts.has('shop.waypoint.leaving'), false);
});

test('a process that got the id of a waypoint later is not taken for it, nor ended in its place', async () => {
  const host = machine();
  const { runner } = runnerOn(host);
  await runner.start(SPEC, 't');
  host.alive.set(100, { startTime: 'later', command: [], logFile: '', ended() {} });
  assert.deepEqual(await runner.list(), []);
  await runner.stop(SPEC);
  assert.deepEqual([host.signals, host.removed], [[], ['shop/waypoint']]);
});

test('what was half written when its writer was killed counts as nothing', async () => {
  const host = machine();
  const { runner, store } = runnerOn(host);
  await runner.start(SPEC, 't');
  store.texts.set('shop.waypoint.json', '{"spec":');
  assert.deepEqual(await runner.list(), []);
  await runner.stop(SPEC);
  assert.deepEqual([...store.texts.keys()], []);
});

test('H4: one whose record cannot be kept, on a full disk say, does not run on unknown', async () => {
  const host = machine();
  const { runner, store } = runnerOn(host);
  const write = store.write.bind(store);
  store.write = async (name, text, options) => {
    if (name.endsWith('.json')) throw new Error('no space left');
    await write(name, text, options);
  };
  await assert.rejects(runner.start(SPEC, 't'), /no space left/);
  assert.deepEqual([host.signals, host.alive.size], [['SIGKILL 100'], 0]);
});

test('stopping asks the process to end, removes its sandbox, and then all that was kept of it and nothing else', async () => {
  const host = machine();
  const { runner, store } = runnerOn(host);
  await runner.start(SPEC, 't');
  await runner.start(OTHER, 't');
  await runner.stop({ namespace: 'shop', name: 'waypoint' });
  assert.deepEqual([host.signals, host.removed], [['SIGTERM 100'], ['shop/waypoint']]);
  assert.deepEqual(host.forgotten, ['/var/lib/weft/logs/waypoint-shop.waypoint.log']);
  assert.deepEqual([...store.texts.keys()].sort(), ['books.waypoint.json', 'books.waypoint.token']);
  assert.deepEqual(await runner.list(), [OTHER]);
});

test('a waypoint that drains is waited for; one that does not end within five seconds is killed', async () => {
  const host = machine();
  host.behaviour.heeds = ['SIGKILL'];
  const { runner, advance } = runnerOn(host);
  await runner.start(SPEC, 't');
  let stopped = false;
  const stopping = runner.stop(SPEC).then(() => {
    stopped = true;
  });
  await advance(4_950);
  assert.deepEqual([host.signals, stopped], [['SIGTERM 100'], false]);
  await advance(100);
  await stopping;
  assert.deepEqual(host.signals, ['SIGTERM 100', 'SIGKILL 100']);
});

test('one that ends while it is waited for is not killed', async () => {
  const host = machine();
  host.behaviour.heeds = [];
  const { runner, advance } = runnerOn(host);
  await runner.start(SPEC, 't');
  const stopping = runner.stop(SPEC);
  await advance(1_000);
  host.die(100);
  await advance(100);
  await stopping;
  assert.deepEqual(host.signals, ['SIGTERM 100']);
});

test('stopping what is gone is no error', async () => {
  const { runner } = runnerOn(machine());
  await runner.stop(SPEC);
});

test('without its agent a waypoint is ended all the same; other refusals of the agent are told', async () => {
  const host = machine();
  const { runner } = runnerOn(host);
  await runner.start(SPEC, 't');
  host.behaviour.agent = new WeftError('WEFT_NO_AGENT', 'the agent does not answer');
  await runner.stop(SPEC);
  assert.deepEqual(await runner.list(), []);
  host.behaviour.agent = new WeftError('WEFT_SANDBOX_BUSY', 'processes are left');
  await assert.rejects(runner.stop(SPEC), { code: 'WEFT_SANDBOX_BUSY' });
});

test('a command that cannot be started is an error with a code, and nothing is listed', async () => {
  const host = machine();
  host.behaviour.launches = false;
  const { runner } = runnerOn(host);
  await assert.rejects(runner.start(SPEC, 't'), { code: 'WEFT_WAYPOINT_START', message: 'cannot start waypoint shop/waypoint' });
  assert.deepEqual(await runner.list(), []);
});

test('whoever watches is told when a process ends, until he no longer does', async () => {
  const host = machine();
  const { runner } = runnerOn(host);
  let told = 0;
  const cancel = runner.watch?.(() => {
    told += 1;
  });
  await runner.start(SPEC, 't');
  await runner.start(OTHER, 't');
  host.die(100);
  assert.equal(told, 1);
  cancel?.();
  host.die(101);
  assert.equal(told, 1);
});
