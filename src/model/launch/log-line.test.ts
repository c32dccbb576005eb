import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LineCutter, logLine, logTimes, readLogLine } from './log-line.ts';

test('a piece is read as it was written, and a line of others is none', () => {
  for (const text of ['', ' ', 'hello', 'two  words ', 'ü'])
    for (const stream of ['stdout', 'stderr'] as const) {
      const piece = { time: '2026-01-02T03:04:05.006000007Z', stream, isWhole: text !== 'hello', text };
      assert.deepEqual(readLogLine(logLine(piece).slice(0, -1)), piece);
    }
  for (const line of ['', 'hello', '12:00:00.000 INFO  agent: x', '2026-01-02T03:04:05Z stdout F x'])
    assert.equal(readLogLine(line), null);
});

test('times of a log grow, also while the clock stands or goes back', () => {
  const clock = [5, 5, 5.9, 4, 7, 6];
  const next = logTimes(() => clock.shift() ?? 0);
  const times = [next(), next(), next(), next(), next(), next()];
  assert.deepEqual(
    times.map((time) => time.slice(17, -1)),
    ['00.005000000', '00.005000001', '00.005000002', '00.005000003', '00.007000000', '00.007000001'],
  );
});

test('what a stream brings is cut into lines, and long ones into parts', () => {
  const cutter = new LineCutter(4);
  const told = (text: string) => cutter.take(text).map((piece) => `${piece.text}${piece.isWhole ? '|' : '+'}`);
  assert.deepEqual(told('a\n\nb'), ['a|', '|']);
  assert.deepEqual(told('c\nd'), ['bc|']);
  assert.deepEqual(told('efg'), []);
  assert.deepEqual(told('hi'), ['defg+']);
  assert.deepEqual(told('\n12345678\n'), ['hi|', '1234+', '5678|']);
  assert.deepEqual(told('12345'), ['1234+']);
  assert.deepEqual(cutter.end(), [{ text: '5', isWhole: true }]);
  assert.deepEqual(cutter.end(), []);
});
