import assert from 'node:assert/strict';
import { mkdtempSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { namingFile, systemError } from './system-error.ts';

function thrownBy(act: () => unknown): unknown {
  try {
    act();
  } catch (error) {
    return error;
  }
  throw new Error('nothing was thrown');
}

test('H21: what the system refuses is told as what, why and what to do', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'weft-system-error-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const told = (act: () => unknown) => {
    const { code, message, remedy } = systemError(thrownBy(act)) ?? {};
    return [code, message, remedy];
  };
  const missing = join(folder, 'missing');
  assert.deepEqual(
    told(() => readFileSync(missing)),
    [
      'WEFT_SYSTEM',
      `cannot open ${missing}: it is not there (ENOENT)`,
      'check its name; if it is one of the mesh, somebody has removed it',
    ],
  );
  assert.equal(told(() => writeFileSync(folder, ''))[1], `cannot open ${folder}: it is a directory (EISDIR)`);
  const full = openSync('/dev/full', 'w');
  assert.deepEqual(
    told(() => namingFile('/var/lib/weft/x', () => writeSync(full, 'text'))),
    [
      'WEFT_SYSTEM',
      'cannot write /var/lib/weft/x: no room is left on its file system (ENOSPC)',
      'make room: df -h /var/lib/weft and df -i /var/lib/weft show what is full',
    ],
  );
  assert.equal(told(() => writeSync(full, 'text'))[1], 'cannot write a file: no room is left on its file system (ENOSPC)');
});

test('H21: a mistake of our own stays one', () => {
  for (const error of [
    new TypeError('x'),
    'text',
    null,
    Object.assign(new Error('x'), { code: 'ERR_X' }),
    thrownBy(() => Buffer.alloc(-1)),
  ])
    assert.equal(systemError(error), null);
});
