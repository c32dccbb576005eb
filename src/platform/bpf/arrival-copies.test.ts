import assert from 'node:assert/strict';
import test from 'node:test';
import { ArrivalCopies } from './arrival-copies.ts';

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Copies that are numbered in the order in which they were loaded; `steps`: what became of them. */
function setUp() {
  const steps: string[] = [];
  const refuses = { load: false };
  let count = 0;
  const copies = new ArrivalCopies(() => {
    if (refuses.load) throw new Error('the kernel refused it');
    const own = ++count;
    steps.push(`load ${own}`);
    return {
      programs: new Map(),
      setData: (bytes) => void steps.push(`${own} is of ${bytes.readBigUInt64LE()}`),
      close: () => void steps.push(`close ${own}`),
    };
  });
  return { copies, refuses, taken: () => steps.splice(0) };
}

test('the first copy is loaded by who needs it, each later one ahead, and no two have one copy', async () => {
  const { copies, taken } = setUp();
  copies.take(7n);
  assert.deepEqual(taken(), ['load 1', '1 is of 7']);
  await nextTurn();
  assert.deepEqual(taken(), ['load 2']);
  copies.take(8n);
  copies.take(9n);
  assert.deepEqual(taken(), ['2 is of 8', 'load 3', '3 is of 9']);
  await nextTurn();
  assert.deepEqual(taken(), ['load 4'], 'one is ahead, however many were taken');
});

test('nothing is loaded ahead where nobody ever needed one, nor after the end; the one that is ahead goes', async () => {
  const { copies, taken } = setUp();
  await nextTurn();
  copies.take(7n);
  await nextTurn();
  copies.take(8n);
  taken();
  copies.close();
  await nextTurn();
  assert.deepEqual(taken(), []);
  const other = setUp();
  other.copies.take(7n);
  await nextTurn();
  other.copies.close();
  assert.equal(other.taken().at(-1), 'close 2');
});

test('what cannot be loaded ahead is told to who needs it', async () => {
  const { copies, refuses, taken } = setUp();
  copies.take(7n);
  refuses.load = true;
  await nextTurn();
  assert.throws(() => copies.take(8n), /the kernel refused it/);
  refuses.load = false;
  copies.take(9n);
  assert.deepEqual(taken(), ['load 1', '1 is of 7', 'load 2', '2 is of 9']);
});
