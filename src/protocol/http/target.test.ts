import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { isAuthority, normalizeTarget, splitAbsoluteTarget } from '#protocol/http/target.ts';

const CASES: { name: string; target: string; want: string | null }[] = [
  { name: 'W15 dot segments are resolved', target: '/a/./b/../c', want: '/a/c' },
  { name: 'dot segments cannot leave the root', target: '/../../a', want: '/a' },
  { name: 'a final dot segment keeps its slash', target: '/a/b/..', want: '/a/' },
  { name: 'W16 repeated slashes stay', target: '/a//b', want: '/a//b' },
  { name: 'W17 an escaped slash stays', target: '/a%2Fb%5c', want: '/a%2Fb%5c' },
  { name: 'W18 a fragment is cut', target: '/a#frag?x', want: '/a' },
  { name: 'a fragment after the query is cut', target: '/a?b#c', want: '/a?b' },
  { name: 'the query is left alone', target: '/a?x=/../%41', want: '/a?x=/../%41' },
  { name: 'unreserved escapes are decoded', target: '/%61%2D%7e', want: '/a-~' },
  { name: 'escaped dot segments are resolved', target: '/a/%2e%2E/b', want: '/b' },
  { name: 'escapes are decoded once', target: '/%2561', want: '/%2561' },
  { name: 'an escape that decodes into an escape is refused', target: '/%2%65%2%65/x', want: null },
  { name: 'a lone percent sign stays', target: '/10%', want: '/10%' },
  { name: 'a backslash is a slash', target: '/a\\..\\b', want: '/b' },
  { name: 'an escaped NUL is refused', target: '/a%00', want: null },
  { name: 'a space is refused', target: '/a b', want: null },
  { name: 'a control character is refused', target: '/a\tb', want: null },
  { name: 'a non-ASCII byte is refused', target: '/\u00e4', want: null },
  { name: 'what is no path is refused', target: 'a/b', want: null },
  { name: 'nothing is refused', target: '', want: null },
  { name: 'a plain path is itself', target: '/reviews/1.2?x=y', want: '/reviews/1.2?x=y' },
  { name: 'dots inside segments stay', target: '/.well-known/a..b/...', want: '/.well-known/a..b/...' },
];

for (const { name, target, want } of CASES) {
  test(`target: ${name}`, () => assert.equal(normalizeTarget(target), want));
}

test('target: normalizing twice changes nothing', () => {
  const piece = fc.constantFrom('/', '.', '..', '%2e', '%2E', '%', '2', 'e', '65', '\\', 'a', '%61', '?', '#', '%25', '%2f');
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
      const once = normalizeTarget(`/${pieces.join('')}`);
      if (once !== null) assert.equal(normalizeTarget(once), once);
    }),
    { numRuns: 3_000 },
  );
});

test('target: the absolute form is split into authority and path', () => {
  assert.deepEqual(splitAbsoluteTarget('http://a.b:80/c?d'), { authority: 'a.b:80', target: '/c?d' });
  assert.deepEqual(splitAbsoluteTarget('HTTPS://a?d'), { authority: 'a', target: '/?d' });
  assert.equal(splitAbsoluteTarget('ftp://a/'), null);
  assert.equal(splitAbsoluteTarget('/a'), null);
});

test('target: an authority is a host with an optional port and nothing more', () => {
  for (const good of ['a', 'a.b:80', '10.0.0.1', '[::1]:80', 'a:', 'cart_1.shop']) assert.ok(isAuthority(good), good);
  for (const bad of ['', 'a b', 'u@h', 'a/b', 'a,b', '::1', '[::1', 'a:b', 'a\\b', 'a:123456']) assert.ok(!isAuthority(bad), bad);
});
