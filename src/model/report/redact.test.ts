import assert from 'node:assert/strict';
import test from 'node:test';
import { redact } from './redact.ts';

const SECRET = 'S3CR3T-value';
const JWT = 'eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl';

const hidden = [
  `-----BEGIN PRIVATE KEY-----\n${SECRET}\n-----END PRIVATE KEY-----`,
  `-----BEGIN EC PRIVATE KEY-----\n${SECRET}`,
  `Authorization: Bearer ${SECRET}`,
  `authorization="Basic ${SECRET}"`,
  `{"password":"${SECRET}","user":"x"}`,
  `{"apiKey": "a \\"quoted\\" ${SECRET}"}`,
  `PGPASSWORD=${SECRET}`,
  `client_secret: '${SECRET}'`,
  `postgres://admin:${SECRET}@db:5432/x`,
  `weft run --env LEVEL=${SECRET} --name web`,
  `weft\0run\0--env\0LEVEL=${SECRET}\0--name`,
  `weft run -e LEVEL="${SECRET} b"`,
  `path=/login?code=${SECRET} method=GET`,
  `"path":"/login?code=${SECRET}"`,
  `Set-Cookie: id=${SECRET}`,
  `db_password: several words ${SECRET}`,
  `app --password ${SECRET} --port 80`,
  `app\0--api-key\0${SECRET}\0`,
];
for (const text of hidden)
  test(`H20: hidden in ${JSON.stringify(text)}`, () => assert.ok(!redact(text).includes(SECRET), redact(text)));

test('H20: a token is hidden wherever it stands, with what surrounds it kept', () => {
  assert.equal(redact(`error: "${JWT}" is refused`), 'error: "[redacted]" is refused');
});

const kept = [
  'connection refused src.workload=client dst.workload=web path=/reviews/7',
  '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----',
  'its token ends 2026-03-01: make another with weft token one',
  'tokenFile: /etc/weft/token',
  'weft\0agent\0--token-file\0/run/weft/one/token',
  '{"tokens_refused": 3}',
  'spiffe://cluster.local/ns/shop/sa/web',
];
for (const text of kept) test(`H20: kept is ${JSON.stringify(text)}`, () => assert.equal(redact(text), text));
