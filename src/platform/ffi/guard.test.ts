import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';

// With guard pages around every buffer that is handed to foreign functions: `make guard-io` does this for as long as it is asked to.

const GUARDED = ['--import', './src/platform/ffi/guard.testing.ts'];

function script(text: string): ReturnType<typeof spawnSync> {
  return spawnSync(process.execPath, [...GUARDED, '--input-type=module-typescript', '-e', text], { encoding: 'utf8' });
}

const READS = (bytes: number): string => `
  import { copyOut, Memory } from '#platform/ffi/memory.ts';
  const from = new Memory(100);
  const into = new Memory(200);
  copyOut(BigInt(from.at(0, 100)), ${bytes}, into);
`;

test('a foreign function that goes one byte too far ends the process', () => {
  assert.equal(script(READS(100)).status, 0);
  assert.equal(script(READS(101)).signal, 'SIGSEGV');
});

for (const file of ['contract/core.test.ts', 'tls/session.test.ts']) {
  test(`${file} passes with guard pages`, () => {
    const { NODE_TEST_CONTEXT, ...env } = process.env;
    const run = spawnSync(process.execPath, [...GUARDED, `src/platform/io/${file}`], { encoding: 'utf8', env });
    assert.equal(run.signal, null);
    assert.equal(run.status, 0, run.stdout);
  });
}
