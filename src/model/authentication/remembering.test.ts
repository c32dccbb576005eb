import assert from 'node:assert/strict';
import test from 'node:test';
import { JWT } from '#model/settings/jwt.ts';
import { KnownTokens, remembering } from './remembering.ts';
import type { ParsedToken } from './token.ts';

const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
const textOf = (sub: string): string => `${part({ alg: 'ES256' })}.${part({ sub })}.c2ln`;

function read(known: KnownTokens, text: string): ParsedToken {
  const token = known.read(text);
  assert.ok(token !== null);
  return token;
}

test('a token is read once after it was good, and the oldest of too many anew', () => {
  const known = new KnownTokens();
  const first = textOf('first');
  assert.notEqual(read(known, first), read(known, first));
  const token = read(known, first);
  known.keep(first, token);
  assert.equal(read(known, first), token);
  for (let at = 1; at <= JWT.knownTokensMax; at++) known.keep(textOf(`${at}`), read(known, textOf(`${at}`)));
  assert.notEqual(read(known, first), token);
  assert.equal(known.read('made up'), null);
});

test('W64 a signature is computed once for a token and a set of keys, and again for other keys', () => {
  let computed = 0;
  const keys = { has: () => true, verifies: ({ claims }: ParsedToken) => computed++ >= 0 && claims.sub === 'me' };
  const [mine, other] = [read(new KnownTokens(), textOf('me')), read(new KnownTokens(), textOf('you'))];
  const remembered = remembering(keys);
  assert.deepEqual([remembered.verifies(mine), remembered.verifies(mine), computed], [true, true, 1]);
  assert.deepEqual([remembered.verifies(other), remembered.verifies(other), computed], [false, false, 3]);
  assert.deepEqual([remembering(keys).verifies(mine), computed], [true, 4]);
});
