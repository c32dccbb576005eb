import assert from 'node:assert/strict';
import test from 'node:test';
import { mapOrigins, siteText, withSourcePlaces } from './source-stacks.ts';

// One line of code whose sixth column (from 1) came from line 3, column 7 of src/model/error.ts.
const MAP = JSON.stringify({ version: 3, sources: ['../../src/model/error.ts'], names: [], mappings: 'KAEM' });
const origins = mapOrigins((path) => {
  if (path !== '/w/build/program/x.js.map') throw new Error('ENOENT');
  return MAP;
});

test('a line of a stack names the .ts that the bundled code came from', () => {
  assert.equal(siteText('f (file:///w/build/program/x.js:1:6)', origins), 'f (/w/src/model/error.ts:3:7)');
  assert.equal(siteText('async /w/build/program/x.js:1:6', origins), 'async /w/src/model/error.ts:3:7');
});

test('a line that no map knows stays as it was', () => {
  for (const line of [
    'f (/w/build/program/y.js:1:6)',
    'f (/w/src/model/error.ts:1:6)',
    'listOnTimeout (node:internal/timers:588:17)',
    'native',
  ])
    assert.equal(siteText(line, origins), line);
});

test('each line of a text is told so, once the text is shown, and other text is left alone', () => {
  const text = 'weft: x (WEFT_X)\nError: x\n    at f (file:///w/build/program/x.js:1:6)\n    at /w/build/program/x.js:1:6\n';
  const told = 'weft: x (WEFT_X)\nError: x\n    at f (/w/src/model/error.ts:3:7)\n    at /w/src/model/error.ts:3:7\n';
  assert.equal(withSourcePlaces(text, origins), told);
  assert.equal(withSourcePlaces(text, null), text);
  assert.equal(
    withSourcePlaces('it ended', () => assert.fail('nothing is looked up')),
    'it ended',
  );
});

test('a map that cannot be read is asked for once', () => {
  let reads = 0;
  const broken = mapOrigins(() => {
    reads++;
    return '{';
  });
  for (let i = 0; i < 3; i++) assert.equal(broken({ file: '/w/y.js', line: 1, column: 1 }), null);
  assert.equal(reads, 1);
});
