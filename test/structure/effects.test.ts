import assert from 'node:assert/strict';
import test from 'node:test';
import { effectViolations } from './effects.ts';
import { filesBelow } from './source-files.ts';

test('sockets, files, processes, time and chance are arguments everywhere but in platform, main and tests', () => {
  assert.deepEqual(effectViolations(filesBelow('src', ['.ts'])), []);
});

const effects = [
  "import { readFile } from 'node:fs/promises';",
  "import net from 'node:net';",
  "import { connect, isIP } from 'node:net';",
  "import * as http2 from 'node:http2';",
  "import koffi from 'koffi';",
  "const later = await import('node:child_process');",
  'const at = Date.now();',
  'const at = new Date();',
  'setTimeout(run, 5);',
  'const chance = Math.random();',
  "const debug = process.env['DEBUG'];",
  'console.log(1);',
];
for (const text of effects) {
  test(`the effects test sees ${text}`, () => {
    assert.equal(effectViolations([{ path: 'src/model/a.ts', text }]).length, 1);
    assert.deepEqual(effectViolations([{ path: 'src/platform/a.ts', text }]), []);
    assert.deepEqual(effectViolations([{ path: 'src/model/a.test.ts', text }]), []);
  });
}

const pure = [
  "import { isIP } from 'node:net';",
  "import type { Socket } from 'node:net';",
  "import { createHash } from 'node:crypto';",
  '// Date.now() is what the clock wraps',
  ' * setTimeout(…) is never called here',
  'const at = new Date(ms);',
  'socket.setTimeout(5);',
];
for (const text of pure) {
  test(`the effects test lets ${text} pass`, () => assert.deepEqual(effectViolations([{ path: 'src/model/a.ts', text }]), []));
}
