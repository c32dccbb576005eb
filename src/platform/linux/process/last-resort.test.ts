import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import test from 'node:test';

/** A process that makes every kind of mistake nobody catches, then does its work all the same. */
const PROGRAM = `
  import { surviveMishaps } from '#platform/linux/process/last-resort.ts';
  process.on('uncaughtException', () => process.exit(1)); // as weft.ts has it for every command
  const told = [];
  const undo = surviveMishaps({ report: (entry, error) => told.push(entry + ' ' + error.message), counts: () => new Map() });
  Promise.reject(new Error('a rejection'));
  setImmediate(() => { throw new Error('a listener'); });
  queueMicrotask(() => { throw new Error('a microtask'); });
  process.nextTick(() => { throw new Error('a tick'); });
  const end = Date.now() + 5_000;
  const look = () => {
    if (told.length < 4 && Date.now() < end) return setTimeout(look, 10);
    console.log(JSON.stringify(told.sort()));
    undo();
    setImmediate(() => { throw new Error('afterwards'); });
  };
  look();
`;

test('S17: a process with a last resort goes on after what nobody caught, told; without it, as before, it ends', async () => {
  const child = spawn(process.execPath, ['--input-type=module', '-e', PROGRAM], { cwd: import.meta.dirname });
  let out = '';
  child.stdout.on('data', (data) => {
    out += data;
  });
  const [code] = await once(child, 'close');
  assert.deepEqual(JSON.parse(out), ['process a listener', 'process a microtask', 'process a rejection', 'process a tick']);
  assert.equal(code, 1);
});
