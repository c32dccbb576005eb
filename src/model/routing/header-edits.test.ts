import assert from 'node:assert/strict';
import test from 'node:test';
import { compileHeaderEdits } from '#model/routing/header-edits.ts';

test('header changes are lower-cased and sorted, and host becomes the authority', () => {
  const edits = compileHeaderEdits(
    {
      set: [
        { name: 'X-B', value: '1' },
        { name: 'X-A', value: '2' },
        { name: 'Host', value: 'cart.mesh' },
      ],
      add: [{ name: 'host', value: 'ignored.mesh' }],
      remove: ['X-Gone', 'host'],
    },
    (why) => assert.fail(why),
  );
  assert.deepEqual(edits, {
    set: [
      { name: 'x-a', value: '2' },
      { name: 'x-b', value: '1' },
    ],
    add: [],
    remove: ['x-gone'],
    authority: 'cart.mesh',
  });
});

test('header changes cannot touch framing, pseudo headers, or carry control characters', () => {
  const problems: string[] = [];
  const edits = compileHeaderEdits(
    {
      set: [
        { name: ':path', value: '/' },
        { name: 'content-length', value: '1' },
        { name: 'x', value: 'a\r\nb: c' },
      ],
      add: [{ name: 'Transfer-Encoding', value: 'chunked' }],
      remove: ['connection'],
    },
    (why) => problems.push(why),
  );
  assert.deepEqual(edits, { set: [], add: [], remove: [], authority: null });
  assert.equal(problems.length, 5);
});

test('no header changes compile to null', () => {
  assert.equal(compileHeaderEdits(null, assert.fail), null);
});
