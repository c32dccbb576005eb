import assert from 'node:assert/strict';
import test from 'node:test';
import { chooseTarget, compileBackends } from '#model/routing/backends.ts';
import { endpointSet, pickLeastLoaded } from '#model/routing/least-request.ts';

function shares(backends: { service: string | null; weight: number }[]): Record<string, number> {
  const targets = compileBackends(backends.map((backend) => ({ ...backend, port: 80 })));
  const counts: Record<string, number> = {};
  for (let draw = 0; draw < 1_000; draw++) {
    const target = chooseTarget(targets, draw / 1_000);
    const name = target.kind === 'service' ? target.service : target.why;
    counts[name] = (counts[name] ?? 0) + 1;
  }
  return counts;
}

test('backends: shares follow the weights', () => {
  assert.deepEqual(
    shares([
      { service: 'a', weight: 9 },
      { service: 'b', weight: 1 },
    ]),
    { a: 900, b: 100 },
  );
});

test('backends (config-api 1.10): weight 0 gets nothing, not even as the last or only entry', () => {
  assert.deepEqual(
    shares([
      { service: 'a', weight: 1 },
      { service: 'b', weight: 0 },
    ]),
    { a: 1_000 },
  );
  assert.deepEqual(shares([{ service: 'a', weight: 0 }]), { 'no-backends': 1_000 });
});

test('backends (config-api 1.10): no backend at all is invalid', () => {
  assert.deepEqual(shares([]), { 'no-backends': 1_000 });
});

test('W45 an unresolved backend keeps its share and is answered 500', () => {
  assert.deepEqual(
    shares([
      { service: 'a', weight: 1 },
      { service: null, weight: 3 },
    ]),
    { a: 250, unresolved: 750 },
  );
  assert.deepEqual(
    shares([
      { service: 'a', weight: 1 },
      { service: null, weight: 0 },
    ]),
    { a: 1_000 },
  );
});

/** A full grid of both draws, so shares come out exact. */
function picks(endpoints: { name: string; capacity: number; active: number }[], steps: number): Record<string, number> {
  const counts: Record<string, number> = {};
  for (let first = 0; first < steps; first++) {
    for (let second = 0; second < steps; second++) {
      const draws = [first / steps, second / steps];
      const picked = pickLeastLoaded(endpointSet(endpoints), () => draws.shift() ?? 0);
      counts[picked?.name ?? 'none'] = (counts[picked?.name ?? 'none'] ?? 0) + 1;
    }
  }
  return counts;
}

test('W46 the idle one of two endpoints gets three quarters', () => {
  const endpoints = [
    { name: 'busy', capacity: 1, active: 10 },
    { name: 'idle', capacity: 1, active: 0 },
  ];
  assert.deepEqual(picks(endpoints, 10), { busy: 25, idle: 75 });
});

test('balancing: idle endpoints share in proportion to capacity', () => {
  const endpoints = [
    { name: 'big', capacity: 3, active: 0 },
    { name: 'small', capacity: 1, active: 0 },
  ];
  assert.deepEqual(picks(endpoints, 8), { big: 48, small: 16 });
});

test('balancing: load is measured per unit of capacity', () => {
  const endpoints = [
    { name: 'big', capacity: 10, active: 10 },
    { name: 'small', capacity: 1, active: 2 },
  ];
  assert.equal(pickLeastLoaded(endpointSet(endpoints), sequence([0.99, 0]))?.name, 'big');
});

test('balancing: capacity 0 is never chosen and no endpoint is null', () => {
  assert.equal(
    pickLeastLoaded(endpointSet([{ capacity: 0, active: 0 }]), () => 0),
    null,
  );
  assert.equal(
    pickLeastLoaded(endpointSet([]), () => 0),
    null,
  );
  assert.deepEqual(
    picks(
      [
        { name: 'off', capacity: 0, active: 0 },
        { name: 'on', capacity: 1, active: 5 },
      ],
      5,
    ),
    { on: 25 },
  );
});

function sequence(draws: number[]): () => number {
  return () => draws.shift() ?? 0;
}
