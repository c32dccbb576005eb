import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AGENT } from '#model/settings/agents.ts';
import { LOOKUP } from '#model/settings/lookup.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import { Lookups } from './lookups.ts';

function setUp() {
  const clock = new SteppedClock();
  const told: string[] = [];
  const dropped: string[] = [];
  const state = { isConnected: true };
  const lookups = new Lookups({
    clock,
    dropped(names, keys) {
      dropped.push(...names, ...keys.map((key) => `key ${key}`));
      return keys;
    },
  });
  lookups.connect({
    change: ({ subscribe, unsubscribe }) => void told.push(...unsubscribe.map((name) => `-${name}`), ...subscribe),
    isConnected: () => state.isConnected,
  });
  return { clock, told, dropped, state, lookups };
}

const names = (count: number, from = 0): string[] => Array.from({ length: count }, (_, at) => `/a${from + at}`);
const answered = (list: readonly string[], keys: readonly string[]): Map<string, readonly string[]> =>
  new Map(list.map((name) => [name, keys]));

test('B72: what was asked for before there is somebody to ask is asked for then', () => {
  const { clock } = setUp();
  const told: string[] = [];
  const lookups = new Lookups({ clock, dropped: () => [] });
  lookups.pin(['/a']);
  lookups.connect({ change: ({ subscribe }) => void told.push(...subscribe), isConnected: () => true });
  assert.deepEqual(told, ['/a']);
});

test('B72: a name is asked for once, whoever needs it, and counts for each of them while it is open', () => {
  const { told, lookups } = setUp();
  assert.deepEqual([lookups.need('x', ['/a']), lookups.need('y', ['/a'])], ['open', 'open']);
  lookups.take(answered(['/a'], ['k']), []);
  assert.deepEqual([lookups.need('x', ['/a']), lookups.answerOf('/a'), told], ['answered', ['k'], ['/a']]);
});

test('B72: the bounds of one workload and of all; answers make room', () => {
  const { lookups } = setUp();
  const own = names(LOOKUP.openPerWorkloadMax);
  assert.equal(lookups.need('x', own), 'open');
  assert.equal(lookups.need('x', ['/more']), 'full');
  for (let at = 1; at < LOOKUP.openMax / LOOKUP.openPerWorkloadMax; at++)
    assert.equal(lookups.need(`x${at}`, names(LOOKUP.openPerWorkloadMax, at * LOOKUP.openPerWorkloadMax)), 'open');
  assert.equal(lookups.need('y', ['/more']), 'full');
  lookups.take(answered(own, []), []);
  assert.deepEqual([lookups.need('x', ['/more']), lookups.need('y', ['/more'])], ['open', 'open']);
});

test('B72: what is not answered in time is left, and frees its place', () => {
  const { clock, told, lookups } = setUp();
  lookups.need('x', ['/a']);
  clock.advance(AGENT.knowledgeDeadlineMs + LOOKUP.lookMs);
  assert.deepEqual([told, lookups.counts], [['/a', '-/a'], { known: 0, unknown: 0, open: 0 }]);
  assert.equal(lookups.need('x', names(LOOKUP.openPerWorkloadMax)), 'open');
});

test('B72: that nobody has a name is good until the answer to the next question, and not without that', () => {
  const { clock, lookups, state } = setUp();
  lookups.need('x', ['/a']);
  lookups.take(answered(['/a'], []), []);
  clock.advance(LOOKUP.unknownAgainMs + LOOKUP.lookMs);
  assert.deepEqual(lookups.answerOf('/a'), [], 'it is being asked again');
  state.isConnected = false;
  clock.advance(AGENT.knowledgeDeadlineMs + LOOKUP.lookMs);
  assert.deepEqual(lookups.answerOf('/a'), [], 'nobody can be asked');
  state.isConnected = true;
  clock.advance(LOOKUP.unknownAgainMs + AGENT.knowledgeDeadlineMs + 2 * LOOKUP.lookMs);
  assert.equal(lookups.answerOf('/a'), null, 'a control plane that is there has not answered');
});

test('B72: of the address of a workload of this node word is asked for until it comes, and no bound touches it', () => {
  const { clock, told, lookups } = setUp();
  lookups.pin(['/own']);
  lookups.take(answered(['/own'], []), []);
  clock.advance(2 * (LOOKUP.ownAgainMs + LOOKUP.lookMs));
  assert.deepEqual(told.slice(0, 3), ['/own', '-/own', '/own']);
  lookups.take(answered(['/own'], ['k']), []);
  lookups.take(new Map(), ['k']);
  assert.deepEqual(told.slice(-2), ['-/own', '/own'], 'it is asked who comes after');
  lookups.unpin(['/own']);
  assert.equal(told.at(-1), '-/own');
});

test('B72: beyond the bound names are left: of what nobody has first, and what was needed the longest time ago', () => {
  const { clock, dropped, told, lookups } = setUp();
  const old = names(LOOKUP.openPerWorkloadMax);
  lookups.need('x', old);
  for (const [at, name] of old.entries()) lookups.take(answered([name], at < 3 ? [] : [`k${at}`]), []);
  lookups.need('x', ['/a3']);
  for (let from = old.length; from < LOOKUP.namesMax; from += LOOKUP.openPerWorkloadMax) {
    const more = names(LOOKUP.openPerWorkloadMax, from);
    lookups.need(`x${from}`, more);
    lookups.take(answered(more, ['one']), []);
  }
  const five = names(5, LOOKUP.namesMax);
  lookups.need('x', five);
  lookups.take(answered(five, ['one']), []);
  told.length = 0;
  clock.advance(LOOKUP.lookMs);
  assert.deepEqual(dropped, ['/a0', '/a1', '/a2', '/a4', '/a5', 'key k4', 'key k5']);
  assert.deepEqual(told, ['-/a0', '-/a1', '-/a2', '-/a4', '-/a5', '-k4', '-k5']);
});
