import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { installationAbove, NODE_FLAGS, partFlags, programOf, WEFT_PROGRAM, WEFT_ROOT } from './installation.ts';

test('the installation is found from any depth, and is missed by name', () => {
  for (const below of ['', 'src/platform/program', 'build/program'])
    assert.equal(installationAbove(join(WEFT_ROOT, below)), WEFT_ROOT);
  assert.throws(() => installationAbove('/proc/self'), { code: 'WEFT_INSTALLATION' });
});

test('what runs from sources starts sources, and a bundle starts the bundle', () => {
  assert.ok(existsSync(WEFT_PROGRAM) && WEFT_PROGRAM.endsWith('/src/main/weft.ts'));
  assert.equal(programOf('/w', '/w/build/program/chunk-X.js'), '/w/build/program/weft.js');
});

test('a part gets the settings of the runtime of who starts it, and nothing of a test runner or debugger', () => {
  assert.deepEqual(
    partFlags([
      '--test',
      '--max-semi-space-size=4',
      '--inspect',
      '--heap-growing-percent=30',
      '--no-allocation-site-pretenuring',
    ]),
    ['--max-semi-space-size=4', '--heap-growing-percent=30', '--no-allocation-site-pretenuring', '--'],
  );
});

test('whatever starts Weft starts Node.js alike', () => {
  for (const file of ['bin/weft', 'scripts/image'])
    assert.match(readFileSync(join(WEFT_ROOT, file), 'utf8'), new RegExp(`[("]${NODE_FLAGS.join(' ')}[)"]`), file);
});
