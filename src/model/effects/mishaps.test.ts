import assert from 'node:assert/strict';
import test from 'node:test';
import { TELEMETRY } from '#model/settings/telemetry.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import { SILENT_LOG } from './log.ts';
import { caughtBy, createMishaps, guard, guardedClock, regardless } from './mishaps.ts';

function setUp() {
  const clock = new SteppedClock();
  const lines: Record<string, unknown>[] = [];
  const mishaps = createMishaps({ ...SILENT_LOG, error: (fields) => void lines.push({ ...fields }) }, clock);
  return { clock, lines, mishaps };
}

const fail = (): never => {
  throw new Error('planted');
};

test('S17: a mistake is counted each time and told a bounded number of times; what was left out is told later', () => {
  const { clock, lines, mishaps } = setUp();
  for (let at = 0; at < TELEMETRY.mishapLinesMax + 90; at++) mishaps.report('request', new Error('planted'));
  assert.equal(lines.length, TELEMETRY.mishapLinesMax);
  mishaps.report('datagram', new Error('another place has lines of its own'));
  assert.equal(lines.length, TELEMETRY.mishapLinesMax + 1);
  clock.advance(TELEMETRY.mishapPeriodMs);
  mishaps.report('request', new Error('planted'));
  assert.equal(lines.at(-1)?.left_out, 90);
  mishaps.report('request', new Error('planted'));
  assert.equal(lines.at(-1)?.left_out, undefined);
  assert.deepEqual(Object.fromEntries(mishaps.counts()), { request: TELEMETRY.mishapLinesMax + 92, datagram: 1 });
});

test('what a guarded act throws is told, and what it happened over is dropped', () => {
  const { mishaps } = setUp();
  const dropped: unknown[] = [];
  guard(mishaps, 'accept', fail, (error) => dropped.push(String(error)));
  guard(mishaps, 'accept', () => {}, fail);
  assert.deepEqual([dropped, mishaps.counts().get('accept')], [['Error: planted'], 1]);
});

test('S17: a timer whose task throws goes on, as do the others', () => {
  const { clock, mishaps } = setUp();
  const guarded = guardedClock(clock, mishaps);
  let rounds = 0;
  guarded.every(10, () => {
    rounds++;
    fail();
  });
  guarded.after(5, fail);
  clock.advance(30);
  assert.deepEqual([rounds, mishaps.counts().get('timer'), guarded.nowMs()], [3, 4, clock.nowMs()]);
});

test('a listener’s mistake goes to whoever owns it, and a consequence of it nowhere', () => {
  const caught: unknown[] = [];
  caughtBy((error) => caught.push(String(error)), fail)();
  caughtBy<string>(
    (error) => caught.push(error),
    (text) => void caught.push(text),
  )('fine');
  regardless(fail);
  assert.deepEqual(caught, ['Error: planted', 'fine']);
});
