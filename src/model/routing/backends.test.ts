import assert from 'node:assert/strict';
import test from 'node:test';
import { chooseTarget, compileBackends } from '#model/routing/backends.ts';
import { compileSubsets } from '#model/routing/subsets.ts';

function shares(backends: { service: string | null; weight: number }[]): Record<string, number> {
  const targets = compileBackends(
    backends.map((backend) => ({ ...backend, port: 80 })),
    {
      prefix: null,
      inOrder: false,
      subsetOf: compileSubsets([]),
      problem: assert.fail,
    },
  );
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
