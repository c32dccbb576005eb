import assert from 'node:assert/strict';
import test from 'node:test';
import type { OutlierDetection } from '#model/waypoint/destination-settings.ts';
import { answered, eject, isPanic, newHistory, type Observation, observe, review } from './outlier.ts';

/** Istio's defaults, but for what is counted. */
const POLICY: OutlierDetection = {
  consecutive5xx: 3,
  consecutiveGatewayErrors: 0,
  consecutiveLocalFailures: null,
  intervalMs: 10_000,
  baseEjectionMs: 30_000,
  maxEjectionMs: 300_000,
  maxEjectionPercent: 100,
  minHealthPercent: 0,
};

const UNREACHED: Observation = { kind: 'local', status: 503 };
const seen = (...statuses: (number | 'unreached')[]): Observation[] =>
  statuses.map((status) => (status === 'unreached' ? UNREACHED : { kind: 'status', status }));

const rows: { name: string; policy?: Partial<OutlierDetection>; seen: Observation[]; says: (string | null)[] }[] = [
  { name: 'three in a row', seen: seen(500, 503, 599), says: [null, null, 'consecutive_5xx'] },
  { name: 'what was reached begins anew', seen: seen(500, 500, 500, 500, 500, 500), says: [2, 5].map(() => 'consecutive_5xx') },
  { name: 'any other answer ends the row', seen: seen(500, 500, 404, 500, 500, 200, 500), says: [] },
  { name: 'what was not reached counts as 503', seen: seen(500, 'unreached', 500), says: ['consecutive_5xx'] },
  { name: 'nothing is counted with 0', policy: { consecutive5xx: 0 }, seen: seen(500, 500, 500, 500, 'unreached'), says: [] },
  {
    name: 'gateway errors are looked at first, and other failures end their row',
    policy: { consecutiveGatewayErrors: 2 },
    seen: seen(502, 500, 504, 503),
    says: ['consecutive_5xx', 'consecutive_gateway_failure'],
  },
  {
    name: 'apart from answers, what was not reached counts by itself',
    policy: { consecutiveLocalFailures: 2 },
    seen: seen(500, 'unreached', 500, 'unreached', 'unreached', 500),
    says: ['consecutive_local_origin_failure', 'consecutive_5xx'],
  },
  {
    name: 'apart from answers, and not counted',
    policy: { consecutiveLocalFailures: 0 },
    seen: seen('unreached', 'unreached', 'unreached', 'unreached'),
    says: [],
  },
];
for (const { name, policy, seen: all, says } of rows)
  test(`W55 failures in a row: ${name}`, () => {
    const history = newHistory();
    const told = all.map((one) => observe(history, one, { ...POLICY, ...policy })).filter((one) => one !== null);
    assert.deepEqual(
      told,
      says.filter((one) => one !== null),
    );
  });

test('W55 each ejection takes longer, up to the longest; each calm look takes one off', () => {
  const history = newHistory();
  let nowMs = 0;
  const lengths: number[] = [];
  for (let time = 0; time < 12; time++) {
    assert.equal(eject(history, POLICY, { ejected: 0, endpoints: 1, nowMs }), 'ejected');
    lengths.push(((history.ejectedUntilMs ?? 0) - nowMs) / 1_000);
    // The look that brings it back is no calm one.
    nowMs = history.ejectedUntilMs ?? 0;
    assert.equal(review(history, nowMs, 1, POLICY.intervalMs), true);
  }
  assert.deepEqual(lengths, [30, 60, 90, 120, 150, 180, 210, 240, 270, 300, 300, 300]);
  assert.equal(review(history, nowMs, 4, POLICY.intervalMs), false);
  assert.equal(history.ejections, 6);
  assert.equal(review(history, nowMs, 100, POLICY.intervalMs), false);
  assert.equal(history.ejections, 0);
});

test('W55 an endpoint comes back with a look only, whoever was late to look', () => {
  const cases: [ejectedAtMs: number, firstMs: number, looks: number, back: boolean, ejections: number][] = [
    [3_000, 10_000, 3, false, 1],
    // 33 s: the look at 40 s brings it back.
    [3_000, 10_000, 4, true, 1],
    // Two calm ones follow.
    [3_000, 10_000, 6, true, 0],
    [0, 10_000, 3, true, 1],
  ];
  for (const [ejectedAtMs, firstMs, looks, back, ejections] of cases) {
    const history = newHistory();
    eject(history, POLICY, { ejected: 0, endpoints: 1, nowMs: ejectedAtMs });
    assert.deepEqual([review(history, firstMs, looks, POLICY.intervalMs), history.ejections], [back, ejections]);
  }
});

test('W56 as many are ejected as may be, and one as long as none is', () => {
  const at = (ejected: number, endpoints: number, maxEjectionPercent: number) =>
    eject(newHistory(), { ...POLICY, maxEjectionPercent }, { ejected, endpoints, nowMs: 0 });
  assert.deepEqual([at(0, 10, 10), at(1, 10, 10), at(1, 11, 10), at(0, 1, 10)], ['ejected', 'too-many', 'ejected', 'ejected']);
  assert.deepEqual([at(0, 10, 0), at(9, 10, 100), at(5, 10, 50)], ['too-many', 'ejected', 'too-many']);
  const history = newHistory();
  eject(history, POLICY, { ejected: 0, endpoints: 2, nowMs: 0 });
  assert.equal(eject(history, POLICY, { ejected: 1, endpoints: 2, nowMs: 1 }), 'already');
});

test('with fewer left than minHealthPercent none counts as ejected; 0 is never', () => {
  const at = (minHealthPercent: number, ejected: number) => isPanic({ ...POLICY, minHealthPercent }, ejected, 4);
  assert.deepEqual([at(50, 2), at(50, 3), at(0, 4), at(100, 1), at(100, 0)], [false, true, false, true, false]);
});

test('W57 a gRPC status in the head of an answer counts as an HTTP status', () => {
  const statuses = ['0', '1', '5', '13', '14', '16', '99', 'x', null].map((grpc) => answered(200, grpc).status);
  assert.deepEqual(statuses, [200, 499, 404, 500, 503, 401, 500, 500, 200]);
});
