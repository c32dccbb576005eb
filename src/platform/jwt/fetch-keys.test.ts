import assert from 'node:assert/strict';
import type { RequestListener } from 'node:http';
import test from 'node:test';
import { parseIp } from '#model/address/ip.ts';
import { whyNotAsked } from '#model/address/outside.ts';
import { JWT } from '#model/settings/jwt.ts';
import { fetchKeysFrom, type KeyServers, SYSTEM_KEY_SERVERS } from './fetch-keys.ts';
import { certificateFor, startKeyServer } from './key-server.testing.ts';
import { keySet, signingKey } from './signing.testing.ts';

const LOOPBACK = [parseIp('127.0.0.1')];
/** Of these tests alone: servers are on loopback. */
const HERE: KeyServers = { resolve: async () => LOOPBACK, whyNot: () => null, roots: () => [] };

const from = (url: string, servers: Partial<KeyServers> = {}, timeoutMs = 5_000, kind: 'jwks' | 'issuer' = 'jwks') =>
  fetchKeysFrom({ ...HERE, ...servers })({ kind, url, timeoutMs });

test('W64 keys are fetched, by their address and by what their issuer says', async (t) => {
  const server = await startKeyServer(t);
  const { jwks } = await from(`${server.url}/keys`);
  assert.equal(JSON.parse(jwks).keys[0].kid, 'key-1');
  server.rotate();
  assert.equal(JSON.parse((await from(server.url, {}, 5_000, 'issuer')).jwks).keys[0].kid, 'key-2');
  assert.deepEqual(server.asked, ['/keys', '/.well-known/openid-configuration', '/keys']);
});

test('W64 keys come over TLS from whom a known authority vouches for, by the name that was asked for', async (t) => {
  const { root, ...tls } = await certificateFor('keys.example');
  const server = await startKeyServer(t, { tls, host: 'keys.example' });
  const other = await certificateFor('keys.example');
  assert.match((await from(`${server.url}/keys`, { roots: () => [root] })).jwks, /key-1/);
  await assert.rejects(from(`${server.url}/keys`, { roots: () => [other.root] }), { code: 'WEFT_JWKS', message: /self-signed/ });
  await assert.rejects(from(`${server.url}/keys`), { code: 'WEFT_JWKS' });
  const elsewhere = server.url.replace('keys.example', 'other.example');
  await assert.rejects(from(`${elsewhere}/keys`, { roots: () => [root] }), { code: 'WEFT_JWKS', message: /altnames/ });
  assert.equal(server.asked.length, 1);
});

test('the authorities of the machine are believed', () => {
  const roots = SYSTEM_KEY_SERVERS.roots();
  assert.ok(roots.length > 0 && roots.every((pem) => pem.startsWith('-----BEGIN CERTIFICATE-----')));
});

const ANSWERS: { name: string; answer: RequestListener; why: RegExp; kind?: 'issuer' }[] = [
  { name: 'is an error', answer: (_, response) => void response.writeHead(500).end('{"keys":[]}'), why: /answered 500/ },
  {
    name: 'leads elsewhere',
    answer: (_, response) => void response.writeHead(302, { location: 'http://127.0.0.1:1/keys' }).end(),
    why: /answered 302/,
  },
  { name: 'is a page', answer: (_, response) => void response.end('<html>'), why: /no JSON Web Key Set/ },
  { name: 'is empty', answer: (_, response) => void response.end(), why: /no JSON Web Key Set/ },
  {
    name: 'is too long',
    answer: (_, response) => void response.end(`{"keys":[],"x":"${'x'.repeat(JWT.fetchedBytesMax)}"}`),
    why: /larger than/,
  },
  {
    name: 'ends in the middle',
    answer: (_, response) => void response.writeHead(200, { 'content-length': 99 }).write('{', () => response.destroy()),
    why: /aborted|hang up/,
  },
  { name: 'never comes', answer: () => {}, why: /no answer within 100 ms/ },
  { name: 'never ends', answer: (_, response) => void response.write('{'), why: /no answer within 100 ms/ },
  {
    name: 'is about another issuer',
    kind: 'issuer',
    answer: (_, response) => void response.end('{"issuer":"https://other","jwks_uri":"http://127.0.0.1/"}'),
    why: /another issuer/,
  },
  { name: 'is nothing', kind: 'issuer', answer: (_, response) => void response.end('null'), why: /another issuer/ },
];
for (const { name, answer, why, kind } of ANSWERS)
  test(`W64 no keys come of an answer that ${name}`, async (t) => {
    const server = await startKeyServer(t);
    server.answers(answer);
    const timeoutMs = name.startsWith('never') ? 100 : 5_000;
    await assert.rejects(from(server.url, {}, timeoutMs, kind ?? 'jwks'), { code: 'WEFT_JWKS', message: why });
    assert.equal(server.asked.length, 1);
  });

test('W64 a name that is resolved for ever is given up, and so is a server that nobody is', async () => {
  await assert.rejects(from('http://a/', { resolve: () => new Promise(() => {}) }, 50), { message: /no answer within 50 ms/ });
  await assert.rejects(from('http://a/', { resolve: () => Promise.reject(new Error('ENOTFOUND')) }), { message: /ENOTFOUND/ });
  await assert.rejects(from('http://a/', { resolve: async () => [] }), { message: /no address/ });
});

const GUARDED: { url: string; resolves?: readonly string[]; why: RegExp }[] = [
  { url: 'http://a.example', resolves: ['169.254.169.254'], why: /169\.254\.169\.254, which is link-local/ },
  { url: 'http://a.example', resolves: ['8.8.8.8', '127.0.0.1'], why: /127\.0\.0\.1, which is loopback/ },
  { url: 'https://a.example', resolves: ['fd00:ec2::254'], why: /a metadata service/ },
  { url: 'http://127.0.0.1', why: /loopback/ },
  { url: 'http://2130706433', why: /loopback/ },
  { url: 'http://[::1]', why: /loopback/ },
  { url: 'http://[::ffff:127.0.0.1]', why: /loopback/ },
  { url: 'http://169.254.169.254', why: /link-local/ },
];
for (const { url, resolves = [], why } of GUARDED)
  test(`W64 no keys are asked for at ${url} ${resolves.join()}`, async (t) => {
    const server = await startKeyServer(t);
    const servers = { resolve: async () => resolves.map(parseIp), whyNot: whyNotAsked };
    await assert.rejects(from(`${url}:${server.port}/keys`, servers), { code: 'WEFT_JWKS', message: why });
    assert.equal(server.asked.length, 0);
  });

test('W64 an issuer cannot have keys asked for elsewhere that may not be asked', async (t) => {
  const server = await startKeyServer(t, { host: 'keys.example' });
  const inside = `http://metadata.example:${server.port}`;
  server.answers((_, response) => void response.end(JSON.stringify({ issuer: server.url, jwks_uri: `${inside}/keys` })));
  const servers: Partial<KeyServers> = {
    resolve: async (name) => [parseIp(name === 'keys.example' ? '127.0.0.1' : '169.254.169.254')],
    whyNot: (ip) => (ip === '127.0.0.1' ? null : whyNotAsked(ip)),
  };
  await assert.rejects(from(server.url, servers, 5_000, 'issuer'), { message: /link-local/ });
});

const FRESH: Readonly<Record<string, number | null>> = {
  'max-age=300': 300_000,
  'public, max-age="60"': 60_000,
  'no-cache': 0,
  'no-store, max-age=9': 0,
  public: null,
};
for (const [header, want] of Object.entries(FRESH))
  test(`keys with cache-control ${header} are fresh for ${want} ms`, async (t) => {
    const server = await startKeyServer(t);
    server.answers((_, response) => void response.setHeader('cache-control', header).end(keySet(signingKey('EdDSA'))));
    assert.equal((await from(server.url)).freshMs, want);
  });

test('no secret of an address is shown in an error', async () => {
  const asked = from('http://me:secret@127.0.0.1:1/keys?token=secret');
  await assert.rejects(asked, (error: Error) => error.message.includes('127.0.0.1:1/keys') && !error.message.includes('secret'));
});
