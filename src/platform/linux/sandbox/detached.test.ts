import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import test from 'node:test';
import { signalProcess, startTimeOf } from './detached.ts';

test('a process has one start time for as long as it lives, and none afterwards', async () => {
  const child = spawn('cat', { stdio: ['pipe', 'ignore', 'ignore'] });
  const pid = child.pid ?? assert.fail();
  const first = startTimeOf(pid);
  assert.match(first ?? '', /^\d+$/);
  assert.equal(startTimeOf(pid), first);
  assert.notEqual(startTimeOf(process.pid), null);
  child.stdin.end();
  await once(child, 'exit');
  assert.equal(startTimeOf(pid), null);
});

test('a signal reaches its process, and one for a process that is gone is no error', async () => {
  const child = spawn('cat', { stdio: ['pipe', 'ignore', 'ignore'] });
  const pid = child.pid ?? assert.fail();
  signalProcess(pid, 'SIGTERM');
  assert.deepEqual(await once(child, 'exit'), [null, 'SIGTERM']);
  signalProcess(pid, 'SIGKILL');
});

test('a number that no process has ever had has no start time', () => assert.equal(startTimeOf(2 ** 30), null));
