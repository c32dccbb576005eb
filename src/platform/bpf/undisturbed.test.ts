import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { withoutBpf } from './kernel-calls.testing.ts';
import { repeated } from './undisturbed.ts';

const { EINTR, EAGAIN, ENOENT } = constants.errno;

test('F18: a call that a signal interrupted is made again until it is not; any other failure is one', () => {
  const outcomes = [EINTR, EAGAIN, EINTR, ENOENT, EINTR];
  let made = 0;
  const call = repeated(
    () => (made++ < outcomes.length ? -1 : 7),
    () => outcomes[made - 1] ?? 0,
  );
  assert.equal(call(), -1);
  assert.equal(made, 4, 'ENOENT is an answer');
  assert.equal(call(), 7);
  made = 0;
  const hopeless = repeated(
    () => -++made,
    () => EINTR,
  );
  assert.ok(hopeless() < 0);
  assert.equal(made, 1_000, 'and no loop without an end');
});

/** Loads every object, in a process that a profiler interrupts ten thousand times a second. */
const SCRIPT = `
import { readdirSync } from 'node:fs';
import { missingFeatures } from '#platform/bpf/features.ts';
import { loadObject } from '#platform/bpf/object.ts';
if (missingFeatures().some(({ fatal }) => fatal)) throw new Error('a feature is not seen');
const objects = readdirSync('build/bpf').filter((name) => name.endsWith('.o'));
for (const name of objects) loadObject('build/bpf/' + name, () => null, null).close();
console.log(objects.length + ' loaded');
`;

test('F18: programs load under a profiler, whose signals come while the kernel verifies them', {
  skip: withoutBpf,
}, async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'weft-profile-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const profiled = ['--cpu-prof', '--cpu-prof-interval', '100', '--cpu-prof-dir', dir];
  const words = [...profiled, '--input-type=module-typescript', '--eval', SCRIPT];
  const cwd = join(import.meta.dirname, '../../..');
  const { stdout } = await promisify(execFile)(process.execPath, words, { cwd });
  assert.match(stdout, /^[1-9]\d* loaded$/m);
});
