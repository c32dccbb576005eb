import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dateLines } from './log-dates.ts';

test('times of day get their days from the end of the log back, and lines without are as old as the one before', () => {
  const lines = [
    '    a line of a stack',
    '23:59:58.000 INFO  agent: first',
    '00:00:01.500 INFO  agent: second',
    '    at somewhere',
    '12:00:00.000 INFO  agent: third',
    '11:00:00.000 INFO  agent: fourth',
    '{"level":"info","time":"2026-01-05T11:30:00.000Z","process":"agent"}',
    '2026-01-05T12:00:00.000000001Z stdout F workload',
  ];
  const dated = dateLines(lines, Date.parse('2026-01-05T13:00:00Z'));
  assert.deepEqual(
    dated.map(({ atMs }) => (atMs === null ? null : new Date(atMs).toISOString().slice(5, 23))),
    [
      null,
      '01-03T23:59:58.000',
      '01-04T00:00:01.500',
      '01-04T00:00:01.500',
      '01-04T12:00:00.000',
      '01-05T11:00:00.000',
      '01-05T11:30:00.000',
      '01-05T12:00:00.000',
    ],
  );
  assert.deepEqual([dated.at(-1)?.stream, dated.at(-1)?.text, dated[0]?.text], ['stdout', 'workload', lines[0]]);
});
