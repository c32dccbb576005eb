import assert from 'node:assert/strict';
import { test } from 'node:test';
import { aService, aWorkload, deltaOf } from '#model/mesh/mesh-fixtures.testing.ts';
import type { WaypointConfig, WaypointService } from '#model/waypoint/config.ts';
import { meshMessages, ToldConfiguration } from './parts.ts';

const CONFIG: WaypointConfig = {
  ...{ namespace: 'shop', gateway: 'waypoint', trustDomain: 'a', pathNormalization: 'BASE' },
  ...{ services: [], policies: [] },
};
const service = (key: string, routes: readonly string[] = []): WaypointService => ({
  ...{ key, policies: [] },
  routes: routes.map((name) => ({ namespace: 'shop', name, ports: null, clientNamespace: null, rules: [] })),
});
const serving = (...services: WaypointService[]): WaypointConfig => ({ ...CONFIG, services });

/** Messages in a word each: what is told, and of which service. */
function words(told: ToldConfiguration, config: WaypointConfig | null): string[] {
  return told.tell(config).map((message) => {
    switch (message.kind) {
      case 'service':
        return `service ${message.service.key}`;
      case 'configure':
        return `configure ${message.services}`;
      default:
        return message.kind;
    }
  });
}

test('of a configuration only what is new is told, and then which services it has', () => {
  const told = new ToldConfiguration();
  assert.deepEqual(words(told, serving(service('a'), service('b'))), ['base', 'service a', 'service b', 'configure a,b']);
  assert.deepEqual(words(told, serving(service('a'), service('b', ['r']))), ['service b', 'configure a,b']);
  assert.deepEqual(words(told, serving(service('a'))), ['configure a']);
  assert.deepEqual(words(told, null), ['configure null']);
  assert.deepEqual(words(told, serving(service('a'), service('b', ['r']))), ['service b', 'configure a,b']);
});

test('what applies to all services makes all of them new, and so does an end that did not keep them', () => {
  const told = new ToldConfiguration();
  const all = ['base', 'service a', 'service b', 'configure a,b'];
  words(told, serving(service('a'), service('b')));
  const other = { ...serving(service('a'), service('b')), pathNormalization: 'NONE' } as const;
  assert.deepEqual(words(told, other), all);
  told.forget();
  assert.deepEqual(words(told, other), all);
});

test('a small change of the mesh is one, a large one comes in parts, services first; together they are the change', () => {
  const workloads = Array.from({ length: 5 }, (_, at) => aWorkload(`w${at}`, [`10.0.0.${at + 1}`]));
  const services = Array.from({ length: 3 }, (_, at) => aService(`s${at}`, [`10.1.0.${at + 1}`]));
  const delta = { ...deltaOf(workloads, services), workloads: new Map([...deltaOf(workloads, []).workloads, ['gone', null]]) };
  const sizes = (partMax: number): number[][] =>
    [...meshMessages(delta, partMax)].map((message) => [message.delta.services.size, message.delta.workloads.size]);
  assert.deepEqual(sizes(9), [[3, 6]]);
  assert.deepEqual(sizes(4), [
    [3, 0],
    [0, 4],
    [0, 2],
  ]);
  const parts = [...meshMessages(delta, 2)].map((message) => message.delta);
  assert.deepEqual(new Map(parts.flatMap((part) => [...part.services])), delta.services);
  assert.deepEqual(new Map(parts.flatMap((part) => [...part.workloads])), delta.workloads);
});
