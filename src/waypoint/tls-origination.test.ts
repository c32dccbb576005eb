import assert from 'node:assert/strict';
import { once } from 'node:events';
import http2 from 'node:http2';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import test, { after, type TestContext } from 'node:test';
import tls, { type TLSSocket } from 'node:tls';
import { serverNameOf } from '#model/trust/server-names.ts';
import type { UpstreamTls } from '#model/waypoint/upstream-tls.ts';
import type { Certified } from '#platform/io/tls/authority.testing.ts';
import { curl, rawClient, startRawApp } from '#waypoint/clients.testing.ts';
import { opensslServer, ServerAuthority } from '#waypoint/tls-servers.testing.ts';
import { CART, configOf, type Rig, type RigOptions, rule, settle, startRig, to, until } from '#waypoint/waypoint-rig.testing.ts';

const clean: (() => void)[] = [];
after(() => {
  for (const one of clean) one();
});
const AUTHORITY = new ServerAuthority({ after: (one) => clean.push(one) });
const OTHERS = new ServerAuthority({ after: (one) => clean.push(one) });
const NAME = 'api.example.com';
const GOOD = AUTHORITY.server([`DNS:${NAME}`]);

/** Asks for NAME, of our authority. */
function wanting(change: { serverName?: string | null; names?: string[]; roots?: string } = {}): UpstreamTls {
  const { names = [NAME], serverName = NAME, roots = AUTHORITY.root.pem } = change;
  return { kind: 'originate', serverName, names: names.map(serverNameOf), roots };
}

function optionsOf(tls: UpstreamTls, more: RigOptions = {}): RigOptions {
  const destinations = [{ service: CART, port: null, subset: null, tls }];
  const services = configOf(more).services.map((service) => ({ ...service, destinations }));
  return { ...more, config: { services } };
}

/** `cart` is a server outside of the mesh. */
async function rigFor(t: TestContext, port: number, tls: UpstreamTls, more: RigOptions = {}): Promise<Rig> {
  const rig = await startRig(optionsOf(tls, more));
  t.after(() => rig.close());
  rig.endpoints([port], { tunnelProtocol: 'none' });
  return rig;
}

/** A server that counts its connections, and answers with the name that it was asked for. */
async function httpsServer(t: TestContext, { chain, key }: Certified): Promise<{ port: number; sockets: TLSSocket[] }> {
  const sockets: TLSSocket[] = [];
  const server = https.createServer({ cert: chain, key }, (request, response) => {
    response.end(String((request.socket as TLSSocket).servername));
  });
  server.on('secureConnection', (socket: TLSSocket) => sockets.push(socket));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, sockets };
}

for (const version of ['-tls1_3', '-tls1_2'])
  test(`config-api 1.16: requests go in TLS to a server that proves its name (openssl s_server ${version})`, async (t) => {
    const port = await opensslServer(t, GOOD, version);
    const rig = await rigFor(t, port, wanting());
    const { status, body } = await curl(rig.port, '/');
    assert.equal(status, 200);
    assert.match(body, version === '-tls1_3' ? /TLSv1\.3/ : /TLSv1\.2/);
    assert.equal(rig.dials.length, 1);
  });

test('config-api 1.16: the server is asked for by name, and a connection carries one request after the other', async (t) => {
  const { port, sockets } = await httpsServer(t, GOOD);
  const rig = await rigFor(t, port, wanting());
  for (let count = 0; count < 3; count++) assert.equal((await curl(rig.port, '/')).body, NAME);
  assert.equal(sockets.length, 1);
});

const OLD = { from: '20200101000000Z', until: '20200201000000Z' };
const refused: { name: string; server: () => Certified; tls?: UpstreamTls; says: RegExp }[] = [
  { name: 'an expired certificate', server: () => AUTHORITY.server([`DNS:${NAME}`], OLD), says: /certificate_has_expired/ },
  { name: 'another authority', server: () => OTHERS.server([`DNS:${NAME}`]), says: /certificate_verify_failed/ },
  {
    name: 'another name',
    server: () => AUTHORITY.server(['DNS:other.example.com']),
    says: /is_for_other\.example\.com,_and_not_for_api\.example\.com/,
  },
  { name: 'no name', server: () => AUTHORITY.server([], { subject: `/CN=${NAME}` }), says: /is_for_nobody/ },
  {
    name: 'the name, where a URI is wanted',
    server: () => GOOD,
    tls: wanting({ names: ['spiffe://td/ns/a/sa/b'] }),
    says: /not_for_spiffe:\/\/td/,
  },
  {
    name: 'a certificate of a client',
    server: () =>
      AUTHORITY.server([`DNS:${NAME}`], { extensions: ['extendedKeyUsage=clientAuth', `subjectAltName=DNS:${NAME}`] }),
    says: /unsuitable_certificate_purpose|unsupported_certificate_purpose/,
  },
  {
    name: 'the machine does not know its authority',
    server: () => GOOD,
    tls: { kind: 'originate', serverName: NAME, names: [{ kind: 'dns', value: NAME }], roots: null },
    says: /certificate_verify_failed/,
  },
  { name: 'roots that are none', server: () => GOOD, tls: wanting({ roots: 'nonsense' }), says: /TLS_cannot_be_spoken/ },
];
for (const { name, server, tls = wanting(), says } of refused)
  test(`W77 config-api 1.16: a server is refused for ${name}: 503 and UF, the log says why, and the client is not told`, async (t) => {
    const { port } = await httpsServer(t, server());
    const rig = await rigFor(t, port, tls);
    const { status, body } = await curl(rig.port, '/');
    assert.equal(status, 503);
    assert.doesNotMatch(body, /certificate|TLS/);
    const line = rig.lines.at(-1);
    assert.equal(line?.response_flags, 'UF');
    assert.match(String(line?.response_code_details), says);
  });

test('config-api 1.16: any of several names is enough, also a URI; what the server is asked for is no name of it then', async (t) => {
  const uri = 'spiffe://td/ns/a/sa/b';
  const { port } = await httpsServer(t, AUTHORITY.server(['DNS:inner.example', `URI:${uri}`]));
  const rig = await rigFor(t, port, wanting({ names: ['nobody.example', uri] }));
  const { status, body } = await curl(rig.port, '/');
  assert.deepEqual([status, body], [200, NAME]);
});

test('config-api 1.16: a server that speaks no TLS gets no request in clear', async (t) => {
  let heard = '';
  const port = await startRawApp(t, (socket) => {
    socket.on('data', (data) => {
      heard += data.toString('latin1');
      socket.end('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');
    });
  });
  const rig = await rigFor(t, port, wanting());
  assert.equal((await curl(rig.port, '/secret')).status, 503);
  assert.match(String(rig.lines.at(-1)?.response_code_details), /TLS/);
  assert.doesNotMatch(heard, /secret|GET/);
});

test('config-api 1.16: what cannot be encrypted is dialled by nobody, outside of the mesh or within', async (t) => {
  const { port, sockets } = await httpsServer(t, GOOD);
  const rig = await rigFor(t, port, { kind: 'refused', why: 'ConfigMap shop/ca is not there' });
  for (const tunnelProtocol of ['none', 'hbone'] as const) {
    rig.endpoints([port], { tunnelProtocol });
    assert.equal((await curl(rig.port, '/')).status, 503);
    assert.match(String(rig.lines.at(-1)?.response_code_details), /ConfigMap_shop\/ca_is_not_there/);
  }
  assert.deepEqual([rig.dials.length, rig.tunnels.length, sockets.length], [0, 0, 0]);
});

test('config-api 1.16: whoever takes tunnels is asked for no TLS beside', async (t) => {
  const port = await startRawApp(t, (socket) => socket.once('data', () => socket.end('HTTP/1.1 204 No Content\r\n\r\n')));
  const rig = await rigFor(t, port, wanting());
  rig.endpoints([port], { node: 'two' });
  assert.equal((await curl(rig.port, '/')).status, 204);
  assert.equal(rig.tunnels.length, 1);
});

test('config-api 1.16: no connection that was opened with other settings is used again', async (t) => {
  const { port, sockets } = await httpsServer(t, GOOD);
  const rig = await rigFor(t, port, wanting());
  assert.equal((await curl(rig.port, '/')).status, 200);
  // Said again: the same connection.
  rig.waypoint.configure({ ...rig.config, ...optionsOf(wanting()).config });
  assert.equal((await curl(rig.port, '/')).status, 200);
  assert.equal(sockets.length, 1);
  rig.waypoint.configure({ ...rig.config, ...optionsOf(wanting({ names: ['other.example'] })).config });
  assert.equal((await curl(rig.port, '/')).status, 503);
  rig.waypoint.configure({ ...rig.config, ...optionsOf(wanting({ roots: OTHERS.root.pem })).config });
  assert.equal((await curl(rig.port, '/')).status, 503);
  // Nothing is asked for any more: what goes in clear goes over no connection of before.
  const before = sockets.length;
  rig.waypoint.configure({ ...rig.config, ...configOf({}) });
  assert.notEqual((await curl(rig.port, '/')).status, 200);
  assert.equal(sockets.length, before);
});

test('config-api 1.16: a copy of a request goes in TLS as well', async (t) => {
  const { port, sockets } = await httpsServer(t, GOOD);
  const copied = to('copied');
  const mirrors = [{ service: copied.service ?? CART, port: 80, numerator: 1, denominator: 1 }];
  const more: RigOptions = { routes: [rule({}, [to('cart')], { mirrors })] };
  const destinations = [{ service: copied.service ?? CART, port: null, subset: null, tls: wanting() }];
  const services = configOf(more).services.map((service) => ({ ...service, destinations }));
  const rig = await startRig({ ...more, config: { services } });
  t.after(() => rig.close());
  rig.endpoints([await startRawApp(t, (socket) => socket.once('data', () => socket.end('HTTP/1.1 204 No Content\r\n\r\n')))]);
  rig.endpoints([port], { tunnelProtocol: 'none' }, 'copied');
  assert.equal((await curl(rig.port, '/')).status, 204);
  await until(() => rig.waypoint.counts.counters.mirrorsAnswered === 1);
  assert.equal(sockets.length, 1);
});

test('config-api 1.16: HTTP/2 is agreed on by ALPN, and one connection carries the requests of its identity', async (t) => {
  const sockets: string[] = [];
  const server = http2.createSecureServer({ cert: GOOD.chain, key: GOOD.key }, (_request, response) => void response.end('two'));
  server.on('session', ({ alpnProtocol }) => sockets.push(alpnProtocol ?? ''));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  const rig = await rigFor(t, port, wanting(), { appProtocol: 'http2' });
  for (let count = 0; count < 3; count++) assert.equal((await curl(rig.port, '/')).body, 'two');
  assert.deepEqual(sockets, ['h2']);
  rig.close();
});

test('config-api 1.16: a server that does not agree to HTTP/2 gets no request in it', async (t) => {
  const port = await opensslServer(t, GOOD);
  const rig = await rigFor(t, port, wanting(), { appProtocol: 'http2' });
  assert.equal((await curl(rig.port, '/')).status, 503);
  assert.match(String(rig.lines.at(-1)?.response_code_details), /did_not_choose_h2/);
});

test('config-api 1.16: a server that takes longer than its connections may is given up', async (t) => {
  const port = await startRawApp(t, (socket) => socket.resume());
  const rig = await rigFor(t, port, wanting());
  const asked = curl(rig.port, '/');
  // It is tried again, for as long.
  let answered = false;
  void asked.then(() => (answered = true));
  while (!answered) {
    await settle();
    rig.clock.advance(10_000);
  }
  assert.equal((await asked).status, 503);
  assert.equal(rig.lines.at(-1)?.response_flags, 'UF');
});

test('config-api 1.16: connections that are not HTTP go in TLS as well, or not at all', async (t) => {
  const server = tls.createServer({ cert: GOOD.chain, key: GOOD.key }, (socket) => void socket.pipe(socket));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  const rig = await rigFor(t, port, wanting(), { appProtocol: 'tcp' });
  const client = await rawClient(t, rig.port);
  client.socket.write('hello');
  await until(() => client.received() === 'hello');
  client.socket.end();
  await until(() => client.ended());
  rig.waypoint.configure({ ...rig.config, ...optionsOf(wanting({ names: ['other.example'] })).config });
  const refusedClient = await rawClient(t, rig.port);
  await until(() => refusedClient.socket.closed);
  const line = rig.lines.at(-1);
  assert.equal(line?.response_flags, 'UF');
  assert.match(String(line?.error), /its certificate is for api\.example\.com, and not for other\.example/);
});
