import assert from 'node:assert/strict';
import test from 'node:test';
import { compilePathRewrite, rewritePath } from '#model/routing/path-rewrite.ts';

/** The request's path, the prefix that matched, its replacement, and what comes of it. */
const PREFIXES: readonly [string, string, string, string][] = [
  ['/foo/bar', '/foo', '/xyz', '/xyz/bar'],
  ['/foo/bar', '/foo', '/xyz/', '/xyz/bar'],
  ['/foo/bar', '/foo/', '/xyz', '/xyz/bar'],
  ['/foo/bar', '/foo/', '/xyz/', '/xyz/bar'],
  ['/foo', '/foo', '/xyz', '/xyz'],
  ['/foo/', '/foo', '/xyz', '/xyz/'],
  ['/foo/bar', '/foo', '', '/bar'],
  ['/foo/', '/foo', '', '/'],
  ['/foo', '/foo', '', '/'],
  ['/foo/', '/foo', '/', '/'],
  ['/foo', '/foo', '/', '/'],
  ['/bar', '/', '/xyz', '/xyz/bar'],
];

for (const [path, prefix, value, want] of PREFIXES)
  test(`config-api 1.8: ${path} with prefix ${prefix} replaced by "${value}" is ${want}`, () => {
    const rewrite = compilePathRewrite({ kind: 'prefix', value }, prefix);
    assert.equal(rewrite === null ? null : rewritePath(path, rewrite), want);
  });

test('a full replacement takes the place of the whole path, and is absolute', () => {
  const full = (value: string) => compilePathRewrite({ kind: 'full', value }, null);
  assert.deepEqual(
    [full('/one'), full('')],
    [
      { from: null, to: '/one' },
      { from: null, to: '/' },
    ],
  );
  assert.equal(rewritePath('/full/one/two', { from: null, to: '/one' }), '/one');
});

test('a replacement cannot leave the path', () => {
  const rewrite = compilePathRewrite({ kind: 'full', value: '/a b\r\nx: y?q#f\u00e4' }, null);
  assert.equal(rewrite?.to, '/a%20b%0D%0Ax:%20y%3Fq%23f%C3%A4');
});

test('a prefix without a match of that sort replaces nothing', () => {
  assert.equal(compilePathRewrite({ kind: 'prefix', value: '/x' }, null), null);
});

/** The request's path, what a VirtualService compared, its replacement, and what comes of it. */
const TEXTS: readonly [string, string, string, string][] = [
  ['/ratings/7', '/ratings', '/v1/bookRatings', '/v1/bookRatings/7'],
  ['/ratings7', '/ratings', '/v1', '/v17'],
  ['/RATINGS/7', '/ratings/', '/', '/7'],
  ['/ratings', '/ratings', '', '/'],
  ['/a', '/', '/x?y#z', '/x%3Fy%23za'],
];

for (const [path, from, value, want] of TEXTS)
  test(`config-api 4.4: ${path} with the beginning ${from} replaced by "${value}" is ${want}`, () => {
    const rewrite = compilePathRewrite({ kind: 'text', from, value }, null);
    assert.equal(rewrite === null ? null : rewritePath(path, rewrite), want);
  });
