import assert from 'node:assert/strict';
import test from 'node:test';
import { WAYPOINT } from '#model/settings/waypoints.ts';
import type { WaypointConfig } from '#model/waypoint/config.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import { followConfiguration } from '#waypoint/listener/follow.ts';

const CONFIG: WaypointConfig = {
  ...{ namespace: 'shop', gateway: 'waypoint', trustDomain: 'a', pathNormalization: 'BASE' },
  ...{ services: [], policies: [] },
};
/** A follower of something that writes down what it is told. `known`: the mesh is known, from the beginning. */
function follower(known: Promise<unknown> = Promise.resolve()) {
  const said: string[] = [];
  const served: string[] = [];
  const clock = new SteppedClock();
  const say = (what: string) => (): void => void said.push(what);
  const follow = followConfiguration(
    {
      configure(config) {
        said.push(config === null ? 'no configuration' : 'configured');
        served.push(config?.services.map(({ key }) => key).join() ?? '-');
      },
      known,
      begin: async () => void said.push('begin'),
      settled: async () => {},
      stopListening: say('stop listening'),
      drained: async () => void said.push('drained'),
      close: async () => void said.push('close'),
    },
    clock,
  );
  return { said, served, clock, follow };
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('a waypoint begins to serve with its first configuration, once, and when the mesh is known', async () => {
  const { promise: known, resolve } = Promise.withResolvers<void>();
  const { said, follow } = follower(known);
  await follow.configured(null);
  await follow.configured(CONFIG);
  await settled();
  assert.deepEqual(said, ['no configuration', 'configured']);
  resolve();
  await settled();
  await follow.configured(CONFIG);
  assert.deepEqual(said.slice(2), ['begin', 'configured']);
});

test('a configuration is told as one that holds when those that serve say so, not before', async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const done: string[] = [];
  const follow = followConfiguration(
    {
      ...{ configure() {}, known: new Promise(() => {}), begin: async () => {}, settled: () => promise },
      ...{ stopListening() {}, drained: async () => {}, close: async () => {} },
    },
    new SteppedClock(),
  );
  const told = follow.configured(CONFIG).then(() => done.push('in force'));
  await settled();
  assert.deepEqual(done, []);
  resolve();
  await told;
});

test('promise 2: a configuration that is lost is told to those that serve, which go on', async () => {
  const { said, follow } = follower();
  await follow.configured(CONFIG);
  await settled();
  await follow.configured(null);
  assert.deepEqual(said, ['configured', 'begin', 'no configuration']);
});

test('a stop ends the listeners first, what is under way next, and the rest last', async () => {
  const { said, follow } = follower();
  await follow.configured(CONFIG);
  await settled();
  await follow.stop();
  assert.deepEqual(said.slice(2), ['stop listening', 'drained', 'close']);
});

test('what drains is judged by what applies meanwhile; that nothing is for this waypoint any more ends nothing of it', async () => {
  const { promise: drained, resolve } = Promise.withResolvers<void>();
  const said: string[] = [];
  const follow = followConfiguration(
    {
      configure: (config) => void said.push(config?.services.map(({ key }) => key).join() ?? '-'),
      ...{ known: Promise.resolve(), begin: async () => {}, settled: async () => {}, stopListening() {} },
      ...{ drained: () => drained, close: async () => void said.push('close') },
    },
    new SteppedClock(),
  );
  await follow.configured(serving('a'));
  await settled();
  const stopped = follow.stop();
  await settled();
  await follow.configured(serving('a', 'b'));
  await follow.configured(null);
  resolve();
  await stopped;
  await follow.configured(serving('a'));
  assert.deepEqual(said, ['a', 'a,b', 'close']);
});

test('a stop before anything is served has nothing to drain, whatever is waited for', async () => {
  const { said, follow } = follower();
  await follow.stop();
  assert.deepEqual(said, ['close']);
  const waiting = follower(new Promise(() => {}));
  await waiting.follow.configured(CONFIG);
  await waiting.follow.stop();
  assert.deepEqual(waiting.said, ['configured', 'close']);
});

test('where serving cannot begin, that is told, and a stop has nothing to drain', async () => {
  const said: string[] = [];
  const follow = followConfiguration(
    {
      ...{ configure() {}, known: Promise.resolve(), begin: () => Promise.reject(new Error('taken')), settled: async () => {} },
      ...{ stopListening() {}, drained: async () => void said.push('drained'), close: async () => void said.push('close') },
    },
    new SteppedClock(),
  );
  await follow.configured(CONFIG);
  await assert.rejects(follow.failed, /taken/);
  await follow.stop();
  assert.deepEqual(said, ['close']);
});

/** A configuration with these services. */
const serving = (...keys: string[]): WaypointConfig => ({
  ...CONFIG,
  services: keys.map((key) => ({ key }) as WaypointConfig['services'][number]),
});

test('F4: a service that has left is served for a while, for nodes that have not heard; not one that came back, nor without any configuration', async () => {
  const { served, clock, follow } = follower();
  await follow.configured(serving('a', 'b'));
  await follow.configured(serving('a'));
  await follow.configured(serving('c'));
  clock.advance(WAYPOINT.leftMs - 1);
  await follow.configured(serving('c', 'a'));
  clock.advance(1);
  await settled();
  assert.deepEqual(served, ['a,b', 'a,b', 'c,b,a', 'c,a,b', 'c,a']);
  await follow.configured(serving());
  await follow.configured(null);
  clock.advance(WAYPOINT.leftMs);
  await settled();
  assert.deepEqual(served.slice(5), ['c,a', '-']);
});
