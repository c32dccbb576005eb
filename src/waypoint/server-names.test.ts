import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import test, { type TestContext } from 'node:test';
import tls from 'node:tls';
import { WAYPOINT } from '#model/settings/waypoints.ts';
import type { ConnectionMatch, ConnectionRoute } from '#model/waypoint/connection-routes.ts';
import { certificateFor } from '#platform/jwt/key-server.testing.ts';
import { rawClient, startRawApp } from '#waypoint/clients.testing.ts';
import { CART, configOf, type Rig, settle, startRig, to, until } from '#waypoint/waypoint-rig.testing.ts';

const ANY: ConnectionMatch = { ports: null, serverNames: null, subnets: null, clientNamespace: null };

function called(name: string, service: string | null): ConnectionRoute {
  return { matches: [{ ...ANY, serverNames: [name] }], backends: service === null ? [] : [to(service)] };
}

/** A real server of TLS that says who it is. */
async function startTls(t: TestContext, name: string): Promise<number> {
  const { cert, key } = await certificateFor('any.example');
  const server = tls.createServer({ cert, key }, (socket) => {
    socket.on('error', () => {});
    socket.end(name);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  return (server.address() as AddressInfo).port;
}

async function rigOf(t: TestContext, connections: ConnectionRoute[]): Promise<Rig> {
  const services = [{ key: CART, routes: [], policies: [], connections }];
  const rig = await startRig({ appProtocol: 'tls', config: { services } });
  t.after(() => rig.close());
  rig.endpoints([await startTls(t, 'cart')]);
  rig.endpoints([await startTls(t, 'v1')], {}, 'v1');
  rig.endpoints([await startTls(t, 'v2')], {}, 'v2x');
  return rig;
}

/** What a client of TLS that asks for `servername` is told; '' when it is cut. */
function heardBy(port: number, servername: string): Promise<string> {
  return new Promise((resolve) => {
    let heard = '';
    const client = tls.connect({ port, host: '127.0.0.1', servername, rejectUnauthorized: false });
    client.on('data', (data) => {
      heard += data;
    });
    client.on('error', () => {});
    client.on('close', () => resolve(heard));
  });
}

test('config-api 1.14: connections go by the name that TLS clients ask for, and nobody decrypts them', async (t) => {
  const rig = await rigOf(t, [called('a.example', 'v1'), called('*.example', 'v2x'), { matches: [], backends: [] }]);
  const heard = [];
  for (const name of ['a.example', 'A.Example', 'b.example', 'example', '']) heard.push(await heardBy(rig.port, name));
  assert.deepEqual(heard, ['v1', 'v1', 'v2', '', '']);
  assert.equal(rig.lines.at(-1)?.response_flags, 'UH');
});

test('config-api 4.4: a name that no route means goes to the service itself', async (t) => {
  const rig = await rigOf(t, [called('a.example', 'v1')]);
  assert.deepEqual([await heardBy(rig.port, 'a.example'), await heardBy(rig.port, 'b.example')], ['v1', 'cart']);
});

test('config-api 4.4: a share may go to a subset, and one that is empty takes nobody elsewhere', async (t) => {
  const of = (subset: string): ConnectionRoute => ({
    matches: [{ ...ANY, serverNames: [`${subset}.example`] }],
    backends: [{ ...to('cart'), subset }],
  });
  const rig = await rigOf(t, []);
  const uid = rig.mesh.endpoints(CART)[0]?.uid ?? assert.fail('no endpoint');
  const subsets = [{ service: CART, name: 'known', endpoints: [uid] }];
  const connections = [of('known'), of('empty')];
  rig.waypoint.configure(configOf({ config: { services: [{ key: CART, routes: [], policies: [], connections, subsets }] } }));
  assert.deepEqual([await heardBy(rig.port, 'known.example'), await heardBy(rig.port, 'empty.example')], ['cart', '']);
});

test('config-api 4.4: a route without names looks at addresses and clients alone, and at no byte', async (t) => {
  const rig = await startRig({ appProtocol: 'tcp' });
  t.after(() => rig.close());
  const greets = (name: string) => startRawApp(t, (socket) => socket.end(name));
  rig.endpoints([await greets('cart')]);
  rig.endpoints([await greets('v1')], {}, 'v1');
  const heard = async (match: Partial<ConnectionMatch>): Promise<string> => {
    const connections = [{ matches: [{ ...ANY, ...match }], backends: [to('v1')] }];
    rig.waypoint.configure(configOf({ config: { services: [{ key: CART, routes: [], policies: [], connections }] } }));
    const client = await rawClient(t, rig.port);
    await until(() => client.ended());
    return client.received();
  };
  assert.equal(await heard({ subnets: ['10.96.0.0/16'], ports: [80] }), 'v1');
  assert.equal(await heard({ subnets: ['10.97.0.0/16'] }), 'cart');
  assert.equal(await heard({ clientNamespace: 'web' }), 'v1');
  assert.equal(await heard({ clientNamespace: 'shop' }), 'cart');
});

test('a client that does not say which name it asks for is closed in time, and never sent on', async (t) => {
  const rig = await rigOf(t, [called('a.example', 'v1')]);
  const client = await rawClient(t, rig.port);
  client.socket.write(Buffer.from([22, 3, 1, 0, 200, 1]));
  await settle();
  rig.clock.advance(WAYPOINT.silentClientMs);
  await until(() => client.socket.destroyed || client.ended());
  assert.equal(rig.waypoint.counters.tcpConnections, 0);
  assert.match(String(rig.lines.at(-1)?.message), /which name it asks for/);
});

test('a hello without end is read to a bound', async (t) => {
  const rig = await rigOf(t, [called('a.example', null), { matches: [], backends: [] }]);
  const client = await rawClient(t, rig.port);
  const record = Buffer.concat([Buffer.from([22, 3, 1, 0x40, 0, 1, 0xff, 0xff, 0xff]), Buffer.alloc(16_380)]);
  client.socket.write(record);
  await until(() => client.socket.destroyed || client.ended());
  assert.equal(rig.lines.at(-1)?.response_flags, 'UH');
});

test('what was read to learn the name is passed on, however it came', async (t) => {
  const rig = await rigOf(t, [called('a.example', 'v1')]);
  // The client's hello comes in pieces of a few bytes.
  const pieces = await startRawApp(t, (socket) => {
    void rawClient(t, rig.port).then(({ socket: on }) => {
      socket.on('data', (data) => {
        for (let at = 0; at < data.length; at += 40) setImmediate(() => on.write(data.subarray(at, at + 40)));
      });
      on.on('data', (data) => socket.write(data));
      on.on('end', () => socket.end());
    });
  });
  assert.equal(await heardBy(pieces, 'a.example'), 'v1');
});
