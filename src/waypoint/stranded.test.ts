import assert from 'node:assert/strict';
import { once } from 'node:events';
import http2 from 'node:http2';
import test, { type TestContext } from 'node:test';
import { deltaOf } from '#model/mesh/mesh-fixtures.testing.ts';
import { HTTP } from '#model/settings/http.ts';
import { WAYPOINT } from '#model/settings/waypoints.ts';
import { rawClient, startApp } from './clients.testing.ts';
import { ask2, http2Client, startHttp2App } from './http2-clients.testing.ts';
import { CART, configOf, startRig, until } from './waypoint-rig.testing.ts';

const GET = 'GET / HTTP/1.1\r\nhost: cart\r\n\r\n';
const UNBOUND = configOf({ config: { services: [] } });

/** A waypoint with one connection that has its answer and stays. */
async function anIdleConnection(t: TestContext) {
  const app = await startApp(t);
  const rig = await startRig();
  t.after(() => rig.close());
  rig.endpoints([app.port]);
  const client = await rawClient(t, rig.port);
  client.socket.write(GET);
  await until(() => client.received().endsWith('ok'));
  return { app, rig, client };
}

test('F4: a service that leaves its waypoint takes its idle HTTP/1.1 connections with it', async (t) => {
  const { app, rig, client } = await anIdleConnection(t);
  rig.waypoint.configure(configOf({}));
  client.socket.write(GET);
  await until(() => app.heard.length === 2 && client.received().split('200 OK').length === 3);
  assert.equal(client.ended(), false, 'a new configuration that still serves it ends nothing');
  rig.waypoint.configure(UNBOUND);
  await until(() => client.ended());
});

test('F4: over HTTP/2 a GOAWAY says so', async (t) => {
  const app = await startHttp2App(t, (stream) => {
    stream.respond({ ':status': 200 });
    stream.end('ok');
  });
  const rig = await startRig({ appProtocol: 'http2' });
  t.after(() => rig.close());
  rig.endpoints([app.port]);
  const client = http2Client(t, rig.port);
  assert.equal((await ask2(client, { ':path': '/' })).status, 200);
  const told = once(client, 'goaway');
  rig.waypoint.configure(UNBOUND);
  assert.equal((await told)[0], http2.constants.NGHTTP2_NO_ERROR);
  await once(client, 'close');
});

test('F4: while a service that has left is still served its connections are told to end, and later ones are served', async (t) => {
  const app = await startHttp2App(t, (stream) => {
    stream.respond({ ':status': 200 });
    stream.end('ok');
  });
  const rig = await startRig({ appProtocol: 'http2' });
  t.after(() => rig.close());
  rig.endpoints([app.port]);
  const client = http2Client(t, rig.port);
  assert.equal((await ask2(client, { ':path': '/' })).status, 200);
  const told = once(client, 'goaway');
  rig.waypoint.configure(configOf({ config: { services: [{ key: CART, routes: [], policies: [], leaving: true }] } }));
  assert.equal((await told)[0], http2.constants.NGHTTP2_NO_ERROR);
  const late = http2Client(t, rig.port);
  assert.equal((await ask2(late, { ':path': '/' })).status, 200);
});

test('F4: a request that is under way when its service leaves is answered, and is the last one of its connection', async (t) => {
  let answer = (): void => {};
  const app = await startApp(t, (_heard, response) => {
    answer = () => response.end('late');
  });
  const rig = await startRig();
  t.after(() => rig.close());
  rig.endpoints([app.port]);
  const client = await rawClient(t, rig.port);
  client.socket.write(GET);
  await until(() => app.heard.length === 1);
  rig.waypoint.configure(UNBOUND);
  answer();
  await until(() => client.received().endsWith('late') && client.ended());
  assert.match(client.received(), /^HTTP\/1.1 200 /);
});

test('F4: without any configuration a request that is under way is refused', async (t) => {
  const app = await startApp(t, () => {});
  const rig = await startRig();
  t.after(() => rig.close());
  rig.endpoints([app.port]);
  const client = await rawClient(t, rig.port);
  client.socket.write(GET);
  await until(() => app.heard.length === 1);
  rig.waypoint.configure(null);
  await until(() => client.received().includes('403'));
});

test('F4: so does a port that the service no longer has', async (t) => {
  const { rig, client } = await anIdleConnection(t);
  rig.waypoint.meshChanged(rig.mesh.apply({ ...deltaOf([], []), services: new Map([[CART, null]]) }));
  await until(() => client.ended());
});

test('F3: a waypoint that ends waits for the request of a client without a tunnel', async (t) => {
  let answer = (): void => {};
  const app = await startApp(t, (_heard, response) => {
    answer = () => response.end('late');
  });
  const rig = await startRig();
  t.after(() => rig.close());
  rig.endpoints([app.port]);
  const client = await rawClient(t, rig.port);
  client.socket.write(GET);
  await until(() => app.heard.length === 1);
  let drained = false;
  rig.waypoint.drain();
  const ending = rig.waypoint.drained(WAYPOINT.drainMs).then(() => {
    drained = true;
  });
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(drained, false);
  answer();
  await until(() => client.received().endsWith('late') && client.ended());
  client.socket.end();
  await ending;
  assert.match(client.received(), /connection: close/);
});

test('F3: but not for ever', async (t) => {
  const app = await startApp(t, () => {});
  const rig = await startRig();
  t.after(() => rig.close());
  rig.endpoints([app.port]);
  const client = await rawClient(t, rig.port);
  client.socket.write(GET);
  await until(() => app.heard.length === 1);
  rig.waypoint.drain();
  const ending = rig.waypoint.drained(WAYPOINT.drainMs);
  rig.clock.advance(WAYPOINT.drainMs);
  await ending;
});

test('F3: who was accepted by a waypoint that ends, and had asked for nothing yet, is answered once', async (t) => {
  const app = await startApp(t);
  const rig = await startRig();
  t.after(() => rig.close());
  rig.endpoints([app.port]);
  const before = await rawClient(t, rig.port);
  await until(() => rig.waypoint.openConnections === 1);
  rig.waypoint.drain();
  const ending = rig.waypoint.drained(WAYPOINT.drainMs);
  // A tunnel that was on its way.
  const after = await rawClient(t, rig.port);
  for (const client of [before, after]) {
    client.socket.write(GET);
    await until(() => client.ended());
    assert.match(client.received(), /^HTTP\/1.1 200 OK(\r\n.*)*connection: close/);
    client.socket.end();
  }
  await ending;
});

test('F3: one that goes on asking for nothing is closed', async (t) => {
  const rig = await startRig();
  t.after(() => rig.close());
  const client = await rawClient(t, rig.port);
  await until(() => rig.waypoint.openConnections === 1);
  rig.waypoint.drain();
  rig.clock.advance(HTTP.firstRequestMs);
  await until(() => client.socket.destroyed);
});
