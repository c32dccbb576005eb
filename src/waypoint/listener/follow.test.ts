import assert from 'node:assert/strict';
import test from 'node:test';
import { SILENT_MISHAPS } from '#model/effects/mishaps.ts';
import type { Touched } from '#model/mesh/mesh-state.ts';
import type { WaypointConfig } from '#model/waypoint/config.ts';
import { followConfiguration } from '#waypoint/listener/follow.ts';

const CONFIG: WaypointConfig = {
  ...{ namespace: 'shop', gateway: 'waypoint', trustDomain: 'a', pathNormalization: 'BASE' },
  ...{ services: [], policies: [] },
};
const TOUCHED: Touched = { ips: new Set(), services: new Set(), workloads: new Set(), policies: false };

/** A follower whose waypoint writes down what it is told. */
function follower() {
  const said: string[] = [];
  const say = (what: string) => (): void => void said.push(what);
  const follow = followConfiguration(async () => {
    said.push('start');
    await Promise.resolve();
    return {
      waypoint: {
        configure: (config) => void said.push(config === null ? 'no configuration' : 'configured'),
        meshChanged: say('mesh'),
        drain: say('drain'),
        drained: async () => void said.push('drained'),
        close: say('close waypoint'),
      },
      stopListening: say('stop listening'),
      drainTunnels: async () => void said.push('drain tunnels'),
      close: say('close'),
    };
  }, SILENT_MISHAPS);
  return { said, follow };
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('a waypoint starts with its first configuration, once', async () => {
  const { said, follow } = follower();
  follow.meshChanged(TOUCHED);
  follow.configured(null);
  await settled();
  assert.deepEqual(said, []);
  follow.configured(CONFIG);
  follow.configured(CONFIG);
  follow.meshChanged(TOUCHED);
  await settled();
  assert.deepEqual(said, ['start', 'configured', 'configured', 'mesh']);
});

test('promise 2: a configuration that is lost is told to the waypoint, which goes on', async () => {
  const { said, follow } = follower();
  follow.configured(CONFIG);
  follow.configured(null);
  await settled();
  assert.deepEqual(said, ['start', 'configured', 'no configuration']);
});

test('a stop ends the listeners first, what is under way next, and the rest last', async () => {
  const { said, follow } = follower();
  follow.configured(CONFIG);
  await follow.stop();
  assert.deepEqual(said, ['start', 'configured', 'stop listening', 'drain', 'drain tunnels', 'drained', 'close']);
});

test('a stop before any configuration has nothing to end', async () => {
  const { said, follow } = follower();
  await follow.stop();
  assert.deepEqual(said, []);
});
