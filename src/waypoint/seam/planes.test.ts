import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Credentials } from '#model/identity/identity.ts';
import { parseIdentity } from '#model/identity/identity.ts';
import { deltaOf } from '#model/mesh/mesh-fixtures.testing.ts';
import { WAYPOINT } from '#model/settings/waypoints.ts';
import type { KeySource } from '#model/waypoint/jwt.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import { Counters, type WaypointCounts } from '#waypoint/self/counters.ts';
import type { Plane, ToControl, ToData } from './messages.ts';
import { Planes } from './planes.ts';

const SELF = parseIdentity('spiffe://cluster.local/ns/shop/sa/waypoint');
const CREDENTIALS: Credentials = {
  ...{ identity: SELF, privateKeyPem: '', chainPem: 'chain', rootsPem: [], notBeforeMs: 0, notAfterMs: 1e15 },
};

/** Two that serve and keep what they are told; `say` is what one of them says. */
function twoPlanes(counts: WaypointCounts[] = []) {
  const told: ToData[][] = [[], []];
  const ended = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const clock = new SteppedClock();
  const spans: [number, number][] = [];
  const wanted: KeySource[] = [];
  let receive: (from: Plane, message: ToControl) => void = () => {};
  const all: Plane[] = told.map((messages, at) => ({
    send: (message) => void messages.push(message),
    ended: () => ended[at]?.promise ?? assert.fail(),
    counts: counts[at] ?? { counters: new Counters(), endpoints: 0, pools: 0 },
  }));
  const planes = new Planes({
    start(hear) {
      receive = hear;
      return all;
    },
    credentials: async () => CREDENTIALS,
    spans: (all, dropped) => void spans.push([all.length, dropped]),
    keysWanted: (source) => void wanted.push(source),
    clock,
  });
  const say = (at: 0 | 1, message: ToControl): void => receive(all[at] ?? assert.fail(), message);
  /** What one was asked to mark, last. */
  const markOf = (at: 0 | 1): number => {
    const last = told[at]?.findLast((message) => message.kind === 'mark');
    return last?.kind === 'mark' ? last.mark : assert.fail('no mark');
  };
  return { planes, told, ended, clock, say, markOf, spans, wanted };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('a change is in force when every one of them has done it, not when one has', async () => {
  const { planes, told, say, markOf } = twoPlanes();
  let isInForce = false;
  const change = planes.mesh(deltaOf([], [])).then(() => {
    isInForce = true;
  });
  for (const messages of told)
    assert.deepEqual(
      messages.map(({ kind }) => kind),
      ['mesh', 'mark'],
    );
  say(1, { kind: 'marked', mark: markOf(1) });
  await turn();
  assert.equal(isInForce, false);
  say(0, { kind: 'marked', mark: markOf(0) });
  await change;
});

test('a change that one of them could not put in force is told as such, and the next one again as one that holds', async () => {
  const { planes, say, markOf } = twoPlanes();
  const mark = (): void => {
    for (const at of [0, 1] as const) say(at, { kind: 'marked', mark: markOf(at) });
  };
  const broken = planes.mesh(deltaOf([], []));
  say(1, { kind: 'failed' });
  mark();
  await assert.rejects(broken, /in force/);
  const next = planes.mesh(deltaOf([], []));
  mark();
  await next;
});

test('a certificate goes to whoever asks for it, and a renewed one to all', async () => {
  const { planes, told, say } = twoPlanes();
  say(1, { kind: 'credentials', identity: SELF });
  await turn();
  const given = { kind: 'credentials', identity: SELF, credentials: CREDENTIALS, error: '' } as const;
  assert.deepEqual(told, [[], [given]]);
  planes.renewed(CREDENTIALS);
  assert.deepEqual(told, [[given], [given, given]]);
});

test('keys that one needs are asked for once, and told to all', () => {
  const { planes, told, say, wanted } = twoPlanes();
  const source = { kind: 'jwks', url: 'https://a', timeoutMs: 1 } as const;
  say(1, { kind: 'keys', source });
  assert.deepEqual(wanted, [source]);
  planes.keys({ source, jwks: null });
  const message = { kind: 'keys', source, jwks: null };
  assert.deepEqual(told, [[message], [message]]);
});

test('all have to have drained and ended; one that hangs is not waited for without end', async () => {
  const { planes, say, ended, clock } = twoPlanes();
  const done: string[] = [];
  const drained = planes.drained(WAYPOINT.drainMs).then(() => void done.push('drained'));
  say(0, { kind: 'drained' });
  await turn();
  assert.equal(done.length, 0);
  say(1, { kind: 'drained' });
  await drained;
  const closed = planes.close().then(() => void done.push('closed'));
  ended[0]?.resolve();
  await turn();
  assert.deepEqual(done, ['drained']);
  clock.advance(WAYPOINT.threadEndMs);
  await closed;

  const hanging = twoPlanes();
  const given = hanging.planes.drained(WAYPOINT.drainMs);
  hanging.clock.advance(WAYPOINT.drainMs + WAYPOINT.threadEndMs);
  await given;
});

test('what they have counted is one sum', () => {
  const [one, two] = [new Counters(), new Counters()];
  Object.assign(one, { requests: 2, openConnections: 1 });
  Object.assign(two, { requests: 3, openConnections: 4 });
  one.responsesByClass[2] = 2;
  two.responsesByClass[2] = 1;
  const { planes } = twoPlanes([
    { counters: one, endpoints: 7, pools: 2 },
    { counters: two, endpoints: 5, pools: 1 },
  ]);
  const { counters, endpoints, pools } = planes.counts;
  assert.deepEqual([counters.requests, counters.openConnections, counters.responsesByClass[2]], [5, 5, 3]);
  assert.deepEqual([endpoints, pools], [7, 3]);
});

test('spans of any of them go to the collector, with how many were left out', () => {
  const { say, spans } = twoPlanes();
  say(1, { kind: 'spans', spans: [], dropped: 3 });
  assert.deepEqual(spans, [[0, 3]]);
});
