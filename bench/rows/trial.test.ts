import assert from 'node:assert/strict';
import { test } from 'node:test';
import { smallTrials } from './cross.ts';
import { type Figures, runTrial, type Trial, turns } from './trial.ts';

const never = new AbortController().signal;

/** A trial whose sides count how often they ran. */
function counted(ran: string[], more: Partial<Trial> = {}): Trial {
  const side = (name: string, cost: number) => async (): Promise<Figures> => {
    ran.push(name);
    return { cost };
  };
  const peers = { 'c-relay': side('c', 2), haproxy: side('h', 4) };
  return { rounds: 3, weft: side('w', 8), peers, rows: [{ id: 'x.cost', metric: 'µs', figure: 'cost' }], ...more };
}

test('each side runs once to warm up, and then in every round, each first in its turn', async () => {
  const ran: string[] = [];
  await runTrial(counted(ran), never);
  assert.equal(ran.join(''), 'wch' + 'wch' + 'chw' + 'hwc');
});

test('a row is held against every peer, or those it names', async () => {
  const rows = [
    { id: 'x.cost', metric: 'µs', figure: 'cost' },
    { id: 'x.more', metric: 'µs', figure: 'cost', peers: ['haproxy'] as const },
  ];
  const found = (await runTrial(counted([], { rows }), never)) ?? [];
  assert.deepEqual(
    found.map(({ id, peer, ratio }) => [id, peer, ratio]),
    [
      ['x.cost', 'c-relay', 4],
      ['x.cost', 'haproxy', 2],
      ['x.more', 'haproxy', 2],
    ],
  );
});

test('a warm-up of its own replaces the run that does not count', async () => {
  const ran: string[] = [];
  const warmUp = { weft: async () => ran.push('W'), peer: async () => ran.push('P') };
  await runTrial(counted(ran, { rounds: 1, warmUp }), never);
  assert.equal(ran.join(''), 'WPP' + 'wch');
});

test('an interrupted trial gives no rows', async () => {
  assert.equal(await runTrial(counted([]), AbortSignal.abort()), null);
});

test('turns keep the order and begin with another', () => assert.deepEqual(turns(['a', 'b'], 3), ['b', 'a']));

test('F19: what a small message costs is measured by the number of connections, pipelined and with long answers, against HAProxy', () => {
  const way = {} as never; // nothing runs
  const trials = smallTrials('load', { weft: way, relay: way, haproxy: way });
  assert.deepEqual(
    trials.flatMap(({ rows }) => rows.map(({ id }) => id)),
    [...[1, 8, 32, 100].map((count) => `cross.small${count}.cpu`), 'cross.pipelined16.cpu', 'cross.replies64k.cpu'],
  );
  assert.equal(
    trials.every(({ peers }) => 'haproxy' in peers),
    true,
  );
});
