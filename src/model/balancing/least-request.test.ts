import assert from 'node:assert/strict';
import test from 'node:test';
import { endpointSet, pickLeastLoaded } from '#model/balancing/least-request.ts';

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
