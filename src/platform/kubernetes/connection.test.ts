import assert from 'node:assert/strict';
import test from 'node:test';
import { Reach } from './connection.ts';

const cases: { name: string; steps: (reach: Reach) => void; told: number }[] = [
  { name: 'one that answers all the time', steps: (reach) => reach.answered(), told: 0 },
  {
    name: 'one that took no connection, and answers twice',
    steps: (reach) => {
      reach.failed('ECONNREFUSED');
      reach.answered();
      reach.answered();
    },
    told: 1,
  },
  {
    name: 'one that ended a connection, or said nothing in time',
    steps: (reach) => {
      reach.failed('ECONNRESET');
      reach.failed(undefined);
      reach.answered();
    },
    told: 0,
  },
  {
    name: 'one that failed otherwise after it took none',
    steps: (reach) => {
      reach.failed('EHOSTUNREACH');
      reach.failed('ECONNRESET');
      reach.answered();
    },
    told: 1,
  },
];
for (const { name, steps, told } of cases)
  test(`K85: an API server is back: ${name}`, () => {
    const reach = new Reach();
    let count = 0;
    const stop = reach.whenBack(() => count++);
    steps(reach);
    assert.equal(count, told);
    stop();
    reach.failed('ECONNREFUSED');
    reach.answered();
    assert.equal(count, told, 'nobody waits any more');
  });
