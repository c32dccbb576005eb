import assert from 'node:assert/strict';
import test from 'node:test';
import { SILENT_MISHAPS } from '#model/effects/mishaps.ts';
import type { Touched } from '#model/mesh/mesh-state.ts';
import { WAYPOINT } from '#model/settings/waypoints.ts';
import type { WaypointConfig } from '#model/waypoint/config.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import { followConfiguration } from '#waypoint/listener/follow.ts';

const CONFIG: WaypointConfig = {
  ...{ namespace: 'shop', gateway: 'waypoint', trustDomain: 'a', pathNormalization: 'BASE' },
  ...{ services: [], policies: [] },
};
const TOUCHED: Touched = { ips: new Set(), services: new Set(), workloads: new Set(), policies: false };

/** A follower whose waypoint writes down what it is told. */
function follower() {
  const said: string[] = [];
  const served: string[] = [];
  const clock = new SteppedClock();
  const say = (what: string) => (): void => void said.push(what);
  const follow = followConfiguration(
    async () => {
      said.push('start');
      await Promise.resolve();
      return {
        waypoint: {
          configure: (config) => {
            said.push(config === null ? 'no configuration' : 'configured');
            served.push(config?.services.map(({ key }) => key).join() ?? '-');
          },
          meshChanged: say('mesh'),
          drain: say('drain'),
          drained: async () => void said.push('drained'),
          close: say('close waypoint'),
        },
        stopListening: say('stop listening'),
        drainTunnels: async () => void said.push('drain tunnels'),
        close: say('close'),
      };
    },
    SILENT_MISHAPS,
    clock,
  );
  return { said, served, clock, follow };
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

/** A configuration with these services. */
const serving = (...keys: string[]): WaypointConfig => ({
  ...CONFIG,
  services: keys.map((key) => ({ key }) as WaypointConfig['services'][number]),
});

test('F4: a service that has left is served for a while, for nodes that have not heard; not one that came back, nor without any configuration', async () => {
  const { served, clock, follow } = follower();
  follow.configured(serving('a', 'b'));
  follow.configured(serving('a'));
  follow.configured(serving('c'));
  clock.advance(WAYPOINT.leftMs - 1);
  follow.configured(serving('c', 'a'));
  clock.advance(1);
  await settled();
  assert.deepEqual(served, ['a,b', 'a,b', 'c,b,a', 'c,a,b', 'c,a']);
  follow.configured(serving());
  follow.configured(null);
  clock.advance(WAYPOINT.leftMs);
  await settled();
  assert.deepEqual(served.slice(5), ['c,a', '-']);
});
