import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { isLocked, lockText, takeLock } from './lock.ts';

test('a lock is held by one, is told to others, and goes with its holder', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'weft-lock-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const path = join(directory, 'lock');
  assert.equal(isLocked(path), false);
  const lock = takeLock(path, 'mine');
  assert.ok(lock !== null);
  assert.deepEqual([isLocked(path), takeLock(path, 'other'), lockText(path)], [true, null, 'mine']);
  lock.release();
  lock.release();
  assert.equal(isLocked(path), false);
});

test('whoever asks for a lock at the same moment is not taken for its holder', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'weft-lock-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const path = join(directory, 'lock');
  takeLock(path, 'left')?.release();
  // Another process in the middle of asking: it has the lock as those have it that ask.
  const asking = spawn('flock', ['--shared', '--no-fork', path, 'sh', '-c', 'echo asking; exec sleep 1000'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  t.after(() => asking.kill('SIGKILL'));
  await once(asking.stdout, 'data');
  assert.equal(isLocked(path), false);
  assert.equal(takeLock(path, 'mine'), null, 'it is had once nobody asks');
});
