import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import test from 'node:test';
import { descriptorsMax, endProcess, isRunning } from './processes.ts';
import { eventually } from './waiting.ts';

test('this process runs, and one that ended does not', async () => {
  assert.equal(isRunning(process.pid), true);
  const child = spawn('true');
  await once(child, 'exit');
  assert.equal(isRunning(child.pid ?? 0), false);
});

test('SIGTERM ends a process that listens to it', async () => {
  const child = spawn('sleep', ['1000']);
  const [ending] = await Promise.all([once(child, 'exit'), endProcess(child.pid ?? 0, 10_000)]);
  assert.deepEqual(ending, [null, 'SIGTERM']);
});

test('SIGKILL ends one that does not', async () => {
  const child = spawn('sh', ['-c', 'trap "" TERM; echo ready; while :; do sleep 1; done'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  await once(child.stdout, 'data');
  const [ending] = await Promise.all([once(child, 'exit'), endProcess(child.pid ?? 0, 100)]);
  assert.deepEqual(ending, [null, 'SIGKILL']);
});

test('a process that is gone needs no ending', async () => {
  const child = spawn('true');
  await once(child, 'exit');
  await endProcess(child.pid ?? 0, 10_000);
});

test('what never holds is given up', async () => assert.equal(await eventually(() => false, 0), false));

test('how many descriptors a process may open is what the kernel says', () => {
  assert.ok(descriptorsMax() >= 256);
  assert.equal(descriptorsMax('Max open files            1024                 20000                files\n'), 1_024);
  assert.equal(
    descriptorsMax('Max open files            unlimited            unlimited            files\n'),
    Number.MAX_SAFE_INTEGER,
  );
});
