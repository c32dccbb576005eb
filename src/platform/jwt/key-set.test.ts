import assert from 'node:assert/strict';
import test from 'node:test';
import { parseToken } from '#model/authentication/token.ts';
import { jwtKeysOf } from '#platform/jwt/key-set.ts';
import { forgedByHmac, keySet, signedToken, signingKey } from '#platform/jwt/signing.testing.ts';

function verifies(jwks: string, text: string): boolean {
  const token = parseToken(text);
  return token !== null && jwtKeysOf(jwks)?.verifies(token) === true;
}

for (const algorithm of ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA'])
  test(`W64 a signature by ${algorithm}, and one that was tampered with`, () => {
    const key = signingKey(algorithm);
    const text = signedToken(key, { iss: 'a' });
    assert.ok(verifies(keySet(key), text));
    const [header = '', , signature = ''] = text.split('.');
    const other = Buffer.from('{"iss":"b"}').toString('base64url');
    assert.ok(!verifies(keySet(key), `${header}.${other}.${signature}`));
    assert.ok(!verifies(keySet(signingKey(algorithm)), text));
  });

test('W64 no token proves itself: none, HMAC with the public key, and another algorithm than the key is for', () => {
  const key = signingKey('RS256');
  assert.ok(!verifies(keySet(key), forgedByHmac(key, { iss: 'a' })));
  assert.ok(!verifies(keySet(key), signedToken(key, { iss: 'a' }, { alg: 'none' })));
  assert.ok(!verifies(keySet(key), signedToken(key, { iss: 'a' }, { alg: 'RS384' })));
  const only = { ...key, jwk: { ...key.jwk, alg: 'RS512' } };
  assert.ok(!verifies(keySet(only), signedToken(key, { iss: 'a' })));
  assert.ok(!verifies(keySet({ ...key, jwk: { ...key.jwk, use: 'enc' } }), signedToken(key, { iss: 'a' })));
  const shared = JSON.stringify({ keys: [{ kty: 'oct', kid: 'RS256', k: 'AAAA' }] });
  assert.ok(!verifies(shared, forgedByHmac(key, { iss: 'a' })));
});

test('W64 keys rotate: a token is checked with the key that it names, and without a name with each', () => {
  const [old, next] = [signingKey('ES256', 'old'), signingKey('ES256', 'next')];
  const both = keySet(old, next);
  for (const key of [old, next]) {
    assert.ok(verifies(both, signedToken(key, { iss: 'a' })));
    assert.ok(verifies(both, signedToken(key, { iss: 'a' }, { kid: undefined })));
  }
  assert.ok(!verifies(both, signedToken(old, { iss: 'a' }, { kid: 'next' })));
  assert.ok(!verifies(keySet(next), signedToken(old, { iss: 'a' })));
});

test('what is no key set is none, and a key that cannot be read is left out', () => {
  for (const text of ['', 'x', '[]', '{}', '{ "keys": 1 }', 'null']) assert.equal(jwtKeysOf(text), null, text);
  const key = signingKey('ES256');
  const odd = JSON.stringify({ keys: [null, {}, { kty: 'EC' }, { kty: 'RSA', n: 1, e: 2 }, key.jwk] });
  assert.ok(verifies(odd, signedToken(key, { iss: 'a' })));
});
