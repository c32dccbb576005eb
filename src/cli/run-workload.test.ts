import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import test from 'node:test';
import type { StartedWorkload } from '#protocol/api/agent.ts';
import { PLAIN_LAUNCH } from './launch-options.ts';
import type { RunOptions } from './run.ts';
import { type RunEffects, runWorkload } from './run-workload.ts';

const OPTIONS: RunOptions = {
  ...PLAIN_LAUNCH,
  name: 'web',
  namespace: 'shop',
  serviceAccount: 'web',
  labels: { app: 'web' },
  annotations: { 'ambient.istio.io/dns-capture': 'false' },
  agentSocket: null,
  node: null,
  runDir: '/run/weft',
  weight: null,
  nativeTunnel: false,
  user: null,
  capAdd: [],
  share: [],
  detach: false,
  stateDir: '/var/lib/weft',
  command: ['serve', '--port', '80'],
};

const SANDBOX: StartedWorkload = { uid: 'u', addresses: ['10.41.0.2'], netnsPath: '/n', cgroupPath: '/c', resolvConfPath: '/r' };

/** An agent, a command and a terminal of which each remembers what was done to it, in order. */
class World implements RunEffects {
  readonly done: string[] = [];
  readonly process = new EventEmitter();
  signal: (signal: NodeJS.Signals) => void = () => {};
  launched = Promise.withResolvers<void>();
  whileStarting = (): void => {};
  refusal: Error | null = null;
  stopRefusal: Error | null = null;

  agent = {
    start: async (workload: object) => {
      this.done.push(`start ${JSON.stringify(workload)}`);
      this.whileStarting();
      if (this.refusal !== null) throw this.refusal;
      return SANDBOX;
    },
    stop: async (namespace: string, name: string) => {
      this.done.push(`stop ${namespace}/${name}`);
      if (this.stopRefusal !== null) throw this.stopRefusal;
    },
  };

  launch = (sandbox: StartedWorkload, command: readonly string[]) => {
    this.done.push(`launch ${sandbox.netnsPath} ${command.join(' ')}`);
    this.launched.resolve();
    return Object.assign(this.process, { kill: (signal: string) => this.done.push(`kill ${signal}`) });
  };

  onSignal = (listener: (signal: NodeJS.Signals) => void) => {
    this.signal = listener;
    return () => void this.done.push('forget signals');
  };

  outOfMemory: boolean | null = false;
  ranOutOfMemory = () => this.outOfMemory;

  started = () => void this.done.push('started');

  warn = (sentence: string) => void this.done.push(`warn ${sentence}`);

  /** What was done after the workload was asked for. */
  get later(): string[] {
    return this.done.slice(1);
  }
}

test('the workload is asked for with what the command line says', async () => {
  const world = new World();
  const code = runWorkload(OPTIONS, world);
  await world.launched.promise;
  world.process.emit('exit', 0, null);
  assert.equal(await code, 0);
  const { name, namespace, serviceAccount, labels, nativeTunnel, annotations } = OPTIONS;
  const told = { name, namespace, serviceAccount, labels, nativeTunnel, annotations };
  assert.equal(world.done[0], `start ${JSON.stringify(told)}`);
  assert.deepEqual(world.later, ['launch /n serve --port 80', 'stop shop/web', 'forget signals']);
});

const endings: { code: number | null; signal: NodeJS.Signals | null; want: number }[] = [
  { code: 3, signal: null, want: 3 },
  { code: null, signal: 'SIGTERM', want: 143 },
  { code: null, signal: 'SIGKILL', want: 137 },
];
for (const { code, signal, want } of endings) {
  test(`a command that ends with ${signal ?? code} ends us with ${want}`, async () => {
    const world = new World();
    const exit = runWorkload(OPTIONS, world);
    await world.launched.promise;
    world.process.emit('exit', code, signal);
    assert.equal(await exit, want);
  });
}

for (const { outOfMemory, says, never } of [
  { outOfMemory: true, says: /killed: it ran out of memory\n$/, never: /somebody/ },
  { outOfMemory: false, says: /killed \(SIGKILL\) by itself, by somebody else, or because/, never: /memory/ },
  { outOfMemory: null, says: /killed \(SIGKILL\) by itself.*; or it ran out of memory\n$/, never: /left the mesh/ },
]) {
  test(`H5: a command that was killed: out of memory ${outOfMemory ?? 'or not, which nobody counts'}`, async () => {
    const world = new World();
    world.outOfMemory = outOfMemory;
    const exit = runWorkload(OPTIONS, world);
    await world.launched.promise;
    world.process.emit('exit', null, 'SIGKILL');
    await exit;
    assert.match(world.later[1] ?? '', says);
    assert.doesNotMatch(world.later[1] ?? '', never);
  });
}

test('signals go to the command, and its ending counts', async () => {
  const world = new World();
  const exit = runWorkload(OPTIONS, world);
  await world.launched.promise;
  world.signal('SIGTERM');
  world.process.emit('exit', 0, null);
  assert.equal(await exit, 0);
  assert.deepEqual(world.later.slice(1, 3), ['kill SIGTERM', 'stop shop/web']);
});

test('a signal before the command runs removes the workload at once', async () => {
  const world = new World();
  world.whileStarting = () => world.signal('SIGINT');
  assert.equal(await runWorkload(OPTIONS, world), 130);
  assert.deepEqual(world.later, ['stop shop/web', 'forget signals']);
});

test('a refusal of the agent is passed on, and nothing is removed', async () => {
  const world = new World();
  world.refusal = new Error('no room');
  await assert.rejects(runWorkload(OPTIONS, world), /no room/);
  assert.deepEqual(world.later, ['forget signals']);
});

test('a command that cannot be started is an error, and the workload is removed', async () => {
  const world = new World();
  const exit = runWorkload(OPTIONS, world);
  await world.launched.promise;
  world.process.emit('error', new Error('spawn ENOENT'));
  await assert.rejects(exit, { code: 'WEFT_LAUNCH' });
  assert.deepEqual(world.later.slice(1), ['stop shop/web', 'forget signals']);
});

test('a workload that cannot be removed is told, and the exit code stays', async () => {
  const world = new World();
  world.stopRefusal = new Error('nothing answers on /run/weft/n/agent.sock');
  const exit = runWorkload(OPTIONS, world);
  await world.launched.promise;
  world.process.emit('exit', 5, null);
  assert.equal(await exit, 5);
  assert.match(world.later.at(-2) ?? '', /^warn weft: the workload shop\/web could not be removed: nothing answers/);
});
