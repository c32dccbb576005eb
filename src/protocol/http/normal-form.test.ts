import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { PATH_NORMALIZATIONS } from '#model/waypoint/config.ts';
import { Http1Headers } from '#protocol/http/v1/http1-headers.ts';
import { parseRequestHead } from '#protocol/http/v1/request-head.ts';
import { normalizeTarget } from './target.ts';

// What each level makes of a spelling. `=`: it stays as it is; `!`: refused with 400.

type Row = readonly [spelling: string, none: string, base: string, merged: string, decoded: string];

const ROWS: readonly Row[] = [
  // Plain paths, and what only looks like a dot segment.
  ['/', '=', '=', '=', '='],
  ['/admin', '=', '=', '=', '='],
  ['/admin/', '=', '=', '=', '='],
  ['/admin.', '=', '=', '=', '='],
  ['/admin..', '=', '=', '=', '='],
  ['/admin...', '=', '=', '=', '='],
  ['/.../admin', '=', '=', '=', '='],
  ['/..admin', '=', '=', '=', '='],
  ['/.well-known/x', '=', '=', '=', '='],
  ['/ADMIN', '=', '=', '=', '='],
  ['/admin;x=1', '=', '=', '=', '='],
  ['/a;x=1/b;y', '=', '=', '=', '='],
  ['/;jsessionid=1', '=', '=', '=', '='],
  // Dot segments.
  ['/./admin', '=', '/admin', '/admin', '/admin'],
  ['/a/../admin', '=', '/admin', '/admin', '/admin'],
  ['/../admin', '=', '/admin', '/admin', '/admin'],
  ['/../../../admin', '=', '/admin', '/admin', '/admin'],
  ['/admin/.', '=', '/admin/', '/admin/', '/admin/'],
  ['/admin/..', '=', '/', '/', '/'],
  ['/admin/x/..', '=', '/admin/', '/admin/', '/admin/'],
  ['/a/./../admin', '=', '/admin', '/admin', '/admin'],
  ['/a;x=1/../admin', '=', '/admin', '/admin', '/admin'],
  // Escaped dots and letters.
  ['/%2e/admin', '=', '/admin', '/admin', '/admin'],
  ['/a/%2e%2e/admin', '=', '/admin', '/admin', '/admin'],
  ['/a/.%2E/admin', '=', '/admin', '/admin', '/admin'],
  ['/a/%2E./admin', '=', '/admin', '/admin', '/admin'],
  ['/%61dmin', '=', '/admin', '/admin', '/admin'],
  ['/%41DMIN', '=', '/ADMIN', '/ADMIN', '/ADMIN'],
  ['/adm%69n%2D%7e', '=', '/admin-~', '/admin-~', '/admin-~'],
  ['/admin%20', '=', '=', '=', '='],
  ['/admin%3bx', '=', '=', '=', '='],
  ['/admin%3f', '=', '=', '=', '='],
  ['/admin%23x', '=', '=', '=', '='],
  ['/10%', '=', '=', '=', '='],
  ['/%zz', '=', '=', '=', '='],
  ['/%u002e%u002e/x', '=', '=', '=', '='],
  // Decoded once: what is left is what the next hop sees.
  ['/%2561dmin', '=', '=', '=', '='],
  ['/a/%252e%252e/admin', '=', '=', '=', '='],
  ['/%252fadmin', '=', '=', '=', '='],
  ['/%2%65%2%65/admin', '=', '!', '!', '!'],
  ['/%%36%31dmin', '=', '!', '!', '!'],
  ['/a%2%46admin', '=', '!', '!', '!'],
  ['/%25%32%65/admin', '=', '/%252e/admin', '/%252e/admin', '/%252e/admin'],
  // Parameters in dot segments.
  ['/..;/admin', '=', '!', '!', '!'],
  ['/.;/admin', '=', '!', '!', '!'],
  ['/a/..;x=1/admin', '=', '!', '!', '!'],
  ['/a/..;', '=', '!', '!', '!'],
  ['/a/.;x', '=', '!', '!', '!'],
  ['/a/%2e%2e;/admin', '=', '!', '!', '!'],
  ['/a/..%3b/admin', '=', '!', '!', '!'],
  ['/a/..%3Bx=1/admin', '=', '!', '!', '!'],
  ['/a/.%2e%3b/admin', '=', '!', '!', '!'],
  ['/a/..;x/../admin', '=', '!', '!', '!'],
  ['/a\\..;\\admin', '=', '!', '!', '!'],
  // Backslashes.
  ['/a\\..\\admin', '=', '/admin', '/admin', '/admin'],
  ['/a/..\\admin', '=', '/admin', '/admin', '/admin'],
  ['/\\admin', '=', '//admin', '/admin', '/admin'],
  ['/admin\\', '=', '/admin/', '/admin/', '/admin/'],
  // Escaped slashes, and dot segments between them.
  ['/a%2fb', '=', '=', '=', '/a/b'],
  ['/a%2Fb%5Cc', '=', '=', '=', '/a/b/c'],
  ['/%2fadmin', '=', '=', '=', '/admin'],
  ['/%5cadmin', '=', '=', '=', '/admin'],
  ['/a/..%2fadmin', '=', '!', '!', '/admin'],
  ['/a%2f../admin', '=', '!', '!', '/admin'],
  ['/a%2f..%2fadmin', '=', '!', '!', '/admin'],
  ['/a/..%5cadmin', '=', '!', '!', '/admin'],
  ['/a%5c%2e%2e%5cadmin', '=', '!', '!', '/admin'],
  ['/.%2fadmin', '=', '!', '!', '/admin'],
  ['/a/..%2f;x/admin', '=', '!', '!', '!'],
  ['/a%2f..;%2fadmin', '=', '!', '!', '!'],
  // Doubled slashes; Envoy resolves before it merges.
  ['//admin', '=', '=', '/admin', '/admin'],
  ['///admin//x', '=', '=', '/admin/x', '/admin/x'],
  ['/admin//', '=', '=', '/admin/', '/admin/'],
  ['/a//../admin', '=', '/a/admin', '/a/admin', '/a/admin'],
  ['/a//..//admin', '=', '/a//admin', '/a/admin', '/a/admin'],
  ['/;x/admin', '=', '=', '!', '!'],
  ['/a/;/admin', '=', '=', '!', '!'],
  ['/%3bx/admin', '=', '=', '!', '!'],
  // Fragment and query.
  ['/admin#x', '/admin', '/admin', '/admin', '/admin'],
  ['/a#/../admin', '/a', '/a', '/a', '/a'],
  ['/a?x=/../%61//b', '=', '=', '=', '='],
  ['/a/../b?c#d', '/a/../b?c', '/b?c', '/b?c', '/b?c'],
  ['/a?..;/admin', '=', '=', '=', '='],
  // What is no path, or hides its end.
  ['/admin%00', '!', '!', '!', '!'],
  ['/admin%00.html', '!', '!', '!', '!'],
  ['/admin%2500', '=', '=', '=', '='],
  ['/a/%c0%ae%c0%ae/admin', '=', '!', '!', '!'],
  ['/a%c0%afadmin', '=', '!', '!', '!'],
  ['/a%e0%80%afadmin', '=', '!', '!', '!'],
  ['/caf%c3%a9', '=', '=', '=', '='],
  ['/caf\u00e9', '!', '!', '!', '!'],
  ['/a\0', '!', '!', '!', '!'],
  ['/a b', '!', '!', '!', '!'],
  ['/a\tb', '!', '!', '!', '!'],
  ['/a\x7f', '!', '!', '!', '!'],
  ['admin', '!', '!', '!', '!'],
  ['..;/admin', '!', '!', '!', '!'],
  ['?/admin', '!', '!', '!', '!'],
  ['#', '!', '!', '!', '!'],
  ['', '!', '!', '!', '!'],
];

for (const [at, level] of PATH_NORMALIZATIONS.entries()) {
  test(`W15-W18 ${level}: each of ${ROWS.length} spellings has its one form, or none`, () => {
    assert.ok(ROWS.length >= 60);
    for (const row of ROWS) {
      const told = row[at + 1];
      const want = told === '=' ? row[0] : told === '!' ? null : told;
      assert.equal(normalizeTarget(row[0], level), want, `${JSON.stringify(row[0])} at ${level}`);
    }
  });

  test(`W15-W18 ${level}: what is forwarded is its own normal form`, () => {
    const piece = fc.constantFrom(
      ...['/', '//', '.', '..', '%2e', '%2E', '%', '2', 'e', '65', '\\', 'a', '%61', '?', '#', '%25', '%2f', '%5C', ';', '%3b'],
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const once = normalizeTarget(`/${pieces.join('')}`, level);
        if (once !== null) assert.equal(normalizeTarget(once, level), once);
      }),
      { numRuns: 3_000 },
    );
  });
}

/** What a request line with this target becomes; null: refused. */
function read(method: string, target: string, level: (typeof PATH_NORMALIZATIONS)[number]): [string, string] | null {
  const bytes = Buffer.from(`${method} ${target} HTTP/1.1\r\nHost: cart\r\n\r\n`, 'latin1');
  const result = parseRequestHead(bytes, 0, bytes.length, new Http1Headers(), level);
  return result.kind === 'ok' ? [result.head.authority, result.head.target] : null;
}

test('W15-W18: a head is read with the form that its target alone has, at each level', () => {
  const letters = ['/', '/', '.', ';', '%', '2', 'f', 'e', '5', 'c', '\\', '#', '?', 'a', ':', '..', '%2e', '//'];
  let draw = 7;
  const next = (below: number): number => {
    draw = (draw * 48_271) % 2_147_483_647;
    return draw % below;
  };
  for (let round = 0; round < 20_000; round++) {
    const target = `/${Array.from({ length: next(7) }, () => letters[next(letters.length)] ?? '').join('')}`;
    for (const level of PATH_NORMALIZATIONS) {
      const normal = normalizeTarget(target, level);
      assert.equal(read('GET', target, level)?.[1] ?? null, normal, `${target} at ${level}`);
    }
  }
});

test('W15-W18: the absolute form is brought to the same form, and its authority is the one that counts', () => {
  assert.deepEqual(read('GET', 'http://cart/a/../admin', 'BASE'), ['cart', '/admin']);
  assert.deepEqual(read('GET', 'http://other:80//admin', 'MERGE_SLASHES'), ['other:80', '/admin']);
  assert.deepEqual(read('GET', 'http://other/%2fadmin', 'DECODE_AND_MERGE_SLASHES'), ['other', '/admin']);
  assert.deepEqual(read('GET', 'http://other?x', 'BASE'), ['other', '/?x']);
  assert.deepEqual(read('GET', 'http://other#x', 'BASE'), ['other', '/']);
  for (const bad of [
    'http://cart/..;/admin',
    'http://cart\\admin',
    'http://u@cart/',
    'http:///admin',
    'ftp://cart/',
    'cart/admin',
  ])
    assert.equal(read('GET', bad, 'BASE'), null, bad);
});

test('the asterisk and the authority form are taken for their own methods only', () => {
  assert.deepEqual(read('OPTIONS', '*', 'BASE'), ['cart', '*']);
  assert.deepEqual(read('CONNECT', 'cart:80', 'BASE'), ['cart:80', 'cart:80']);
  for (const [method, target] of [
    ['GET', '*'],
    ['OPTIONS', '*/admin'],
    ['GET', 'cart:80'],
    ['CONNECT', '/admin'],
    ['CONNECT', 'http://cart/'],
  ] as const)
    assert.equal(read(method, target, 'BASE'), null, `${method} ${target}`);
});
