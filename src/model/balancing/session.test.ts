import assert from 'node:assert/strict';
import test from 'node:test';
import { cookieValue, readSession, sessionCookie, sessionToken, writeSession } from '#model/balancing/session.ts';

test('a session: what is written is read, until it ends', () => {
  const token = sessionToken('a/b');
  for (const session of [
    { token, endsMs: null },
    { token, endsMs: 1_800_000_000_000 },
  ])
    assert.deepEqual(readSession(writeSession(session), 1_799_999_999_999), session);
  assert.equal(readSession(writeSession({ token, endsMs: 5 }), 5), null);
  for (const value of [null, '', 'x', `${token}.`, `${token}.-1`, `${token}x`, token.toUpperCase().replace(/\d/g, 'A')])
    assert.equal(readSession(value, 0), null, String(value));
  assert.notEqual(sessionToken('a/c'), token);
});

test('a session: cookies', () => {
  assert.equal(cookieValue(['a=1; b=2', 'c=3'], 'b'), '2');
  assert.equal(cookieValue(['ab=1'], 'b'), null);
  assert.equal(cookieValue([], 'b'), null);
  const cookie = { carrier: 'cookie', name: 's', absoluteTimeoutMs: 10_000, permanent: true } as const;
  assert.equal(sessionCookie(cookie, { token: 't', endsMs: 11_000 }, 1_000), 's=t.8hk; Path=/; HttpOnly; Max-Age=10');
  assert.equal(sessionCookie({ ...cookie, permanent: false }, { token: 't', endsMs: null }, 0), 's=t; Path=/; HttpOnly');
});
