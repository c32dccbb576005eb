import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Log, SharedFields, WHOLE_LINES } from '#model/effects/log.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import { limitedLog } from './limited-log.ts';

const BOUNDS = { alikeLinesMax: 3, alikeWindowMs: 1_000, alikeGroupsMax: 4 };

/** A limited log over one that keeps lines as `level sentence {fields}`. */
function setUp() {
  const lines: string[] = [];
  const keep = (level: string) => (fields: object, message: string) =>
    void lines.push(`${level} ${message} ${JSON.stringify(fields)}`);
  const kept: Log = {
    debug: keep('debug'),
    info: keep('info'),
    warn: keep('warn'),
    error: keep('error'),
    child: (fields) => (fields === WHOLE_LINES ? { ...kept, info: keep('whole') } : kept),
  };
  const clock = new SteppedClock();
  return { lines, clock, log: limitedLog(kept, clock, BOUNDS) };
}

const refusal = (workload: string, port: number) => ({
  direction: 'outbound',
  'src.workload': workload,
  'dst.addr': `10.0.0.1:${port}`,
  cause: 'policy',
});
const times = (count: number, act: (n: number) => void): void => Array.from({ length: count }, (_, n) => n).forEach(act);

test('S20: of lines alike the first are written and the rest are one line with their count', () => {
  const { lines, clock, log } = setUp();
  times(24_816, (n) => log.warn(refusal('loop', n), 'refused'));
  assert.equal(lines.length, 3);
  clock.advance(1_000);
  const summary = { direction: 'outbound', cause: 'policy', 'src.workload': 'loop', left_out: 24_813 };
  assert.deepEqual(lines.slice(3), [`warn and 24813 more like it: refused ${JSON.stringify(summary)}`]);
});

test('a new window begins with lines again, and a quiet one says nothing', () => {
  const { lines, clock, log } = setUp();
  times(3, (n) => log.warn(refusal('loop', n), 'refused'));
  clock.advance(1_000);
  assert.equal(lines.length, 3);
  assert.deepEqual(clock.pendingMs(), [], 'no timer while nothing is said');
  times(4, (n) => log.warn(refusal('loop', n), 'refused'));
  clock.advance(1_000);
  assert.equal(lines.length, 7);
});

test('S20: another workload, another cause and another sentence keep lines of their own', () => {
  const { lines, log } = setUp();
  times(9, (n) => log.warn(refusal('loop', n), 'refused'));
  log.warn(refusal('quiet', 1), 'refused');
  log.warn({ ...refusal('loop', 1), cause: 'no-backend' }, 'refused');
  log.warn(refusal('loop', 1), 'closed');
  assert.equal(lines.length, 6);
});

test('the workload of an inbound line is the one that was dialled, so that clients cannot make groups', () => {
  const { lines, log } = setUp();
  times(9, (n) =>
    log.info({ direction: 'inbound', 'src.workload': `client-${n}`, 'dst.workload': 'shop', cause: 'policy' }, 'done'),
  );
  assert.equal(lines.length, 3);
});

test('lines that tell of no failure are all written, and so are those for debugging', () => {
  const { lines, log } = setUp();
  times(9, () => log.info({ 'src.workload': 'shop', cause: undefined }, 'connection complete'));
  times(9, () => log.debug({}, 'detail'));
  assert.equal(lines.length, 18);
});

test('S20: whole lines are limited by what they are about, and the log itself tells of the rest', () => {
  const { lines, clock, log } = setUp();
  const whole = log.child(WHOLE_LINES);
  times(9, (n) => whole.info({ ...refusal('loop', n), line: `line ${n}` }, 'connection complete'));
  times(9, (n) => whole.info({ line: `line ${n}` }, 'connection complete'));
  assert.deepEqual(
    lines.map((line) => line.split(' ', 1)[0]),
    Array.from({ length: 3 + 9 }, () => 'whole'),
  );
  clock.advance(1_000);
  assert.match(lines.at(-1) ?? '', /^info and 6 more like it: connection complete /);
});

test('groups are bounded: what comes after shares one', () => {
  const { lines, clock, log } = setUp();
  times(100, (n) => log.error({ workload: `made-up-${n}` }, 'failed'));
  assert.equal(lines.length, 4 + 3);
  clock.advance(1_000);
  assert.deepEqual(lines.slice(7), [`error and 93 more like it: various {"left_out":93}`]);
});

test('children share the count of their parent', () => {
  const { lines, log } = setUp();
  times(9, () => log.child({}).warn(refusal('loop', 1), 'refused'));
  assert.equal(lines.length, 3);
});

test('lines of several kinds in turn are counted each with its own, also where what they have in common is shared', () => {
  const { lines, clock, log } = setUp();
  const shared = (workload: string) => ({ taken: new SharedFields({ 'dst.workload': workload }), cause: 'policy' });
  times(5, (n) => {
    log.warn(refusal('a', n), 'refused');
    log.warn(refusal('b', n), 'refused');
    log.warn(shared('c'), 'refused');
    log.warn(shared('c'), 'closed');
  });
  assert.equal(lines.length, 12);
  clock.advance(1_000);
  assert.equal(lines.slice(12).filter((line) => line.includes('"left_out":2')).length, 4);
});
