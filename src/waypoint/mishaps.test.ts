import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import test, { type TestContext } from 'node:test';
import { SILENT_LOG } from '#model/effects/log.ts';
import { END_STREAM, FRAME_TYPE, frameBytes, settingsAndAck } from '#platform/http2/frames.testing.ts';
import { nodeHttp2 } from '#platform/http2/node-http2.testing.ts';
import { relayed } from '#protocol/stream/relay.ts';
import { curl, startApp } from './clients.testing.ts';
import { ask2, http2Client, startHttp2App } from './http2-clients.testing.ts';
import { type Rig, type RigOptions, settle, startRig, until } from './waypoint-rig.testing.ts';

/** An effect that fails the next time it is used, and works again afterwards. */
function planted<Arguments extends unknown[], Result>(real: (...args: Arguments) => Result) {
  let armed = false;
  const effect = (...args: Arguments): Result => {
    if (!armed) return real(...args);
    armed = false;
    throw new Error('planted');
  };
  const arm = (): void => {
    armed = true;
  };
  return { effect, arm };
}

async function aRig(t: TestContext, options: RigOptions): Promise<Rig> {
  const rig = await startRig(options);
  t.after(() => rig.close());
  return rig;
}

/** The entries whose mistakes are in the log. */
const told = (rig: Rig): unknown[] => rig.lines.flatMap(({ entry }) => (entry === undefined ? [] : [entry]));

test('S17: a stage that throws costs its request 500, and nobody else anything', async (t) => {
  const app = await startApp(t);
  const { effect, arm } = planted(() => 'an-id');
  const rig = await aRig(t, { effects: { newUuid: effect } });
  rig.endpoints([app.port]);
  assert.equal((await curl(rig.port, '/')).status, 200);
  arm();
  assert.equal((await curl(rig.port, '/mistake')).status, 500);
  assert.equal((await curl(rig.port, '/')).status, 200);
  assert.deepEqual([told(rig), app.heard.map(({ url }) => url)], [['request'], ['/', '/']]);
  assert.equal(rig.waypoint.counters.openRequests, 0);
});

test('S17: the same over HTTP/2: the other requests of its connection go on', async (t) => {
  const app = await startHttp2App(t, (stream) => {
    stream.respond({ ':status': 200 });
    stream.end('ok');
  });
  const { effect, arm } = planted(() => 'an-id');
  const rig = await aRig(t, { appProtocol: 'http2', effects: { newUuid: effect } });
  rig.endpoints([app.port]);
  const client = http2Client(t, rig.port);
  const slow = client.request({ ':method': 'POST', ':path': '/slow' });
  await settle();
  arm();
  assert.equal((await ask2(client, { ':path': '/mistake' })).status, 500);
  slow.end('body');
  const [headers] = await once(slow, 'response');
  assert.equal(headers[':status'], 200);
  assert.deepEqual(told(rig), ['request']);
});

test('S17: what fails only when a request is told of costs its line, not its answer', async (t) => {
  const app = await startApp(t);
  const { effect, arm } = planted(() => {});
  const rig = await aRig(t, { effects: { log: { ...SILENT_LOG, info: effect } } });
  rig.endpoints([app.port]);
  arm();
  assert.equal((await curl(rig.port, '/untold')).status, 200);
  assert.equal((await curl(rig.port, '/')).status, 200);
  assert.deepEqual(told(rig), ['request']);
});

test('S17: a connection to an endpoint that cannot be begun is a failed one; the pool goes on', async (t) => {
  const app = await startHttp2App(t, (stream) => {
    stream.respond({ ':status': 200 });
    stream.end('ok');
  });
  const { effect, arm } = planted(nodeHttp2.connect);
  const rig = await aRig(t, { appProtocol: 'http2', effects: { http2: { ...nodeHttp2, connect: effect } } });
  rig.endpoints([app.port]);
  const client = http2Client(t, rig.port);
  arm();
  assert.equal((await ask2(client, { ':path': '/mistake' })).status, 503);
  assert.equal((await ask2(client, { ':path': '/' })).status, 200);
  assert.deepEqual(told(rig), ['upstream']);
});

test('S17: a connection that cannot be taken over is dropped; the next one is served', async (t) => {
  const app = await startApp(t);
  const { effect, arm } = planted(nodeHttp2.accept);
  const rig = await aRig(t, { effects: { http2: { ...nodeHttp2, accept: effect } } });
  rig.endpoints([app.port]);
  arm();
  const broken = await ask2(http2Client(t, rig.port), { ':path': '/mistake' });
  assert.equal(broken.status, 0);
  assert.equal((await curl(rig.port, '/')).status, 200);
  assert.deepEqual(told(rig), ['accept']);
});

test('S17: a relay that throws ends its connection; the next one passes', async (t) => {
  const server = net.createServer((socket) => socket.on('error', () => {}).pipe(socket));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const { effect, arm } = planted(relayed);
  const rig = await aRig(t, { appProtocol: 'tcp', effects: { relay: effect } });
  rig.endpoints([(server.address() as net.AddressInfo).port]);
  const echo = async (): Promise<string> => {
    const socket = net.connect(rig.port, '127.0.0.1');
    let heard = '';
    socket.on('data', (data) => {
      heard += data;
    });
    const closed = new Promise((resolve) => socket.on('error', () => {}).on('close', resolve));
    socket.end('hello');
    await closed;
    return heard;
  };
  arm();
  assert.equal(await echo(), '');
  assert.equal(await echo(), 'hello');
  assert.deepEqual(told(rig), ['relay']);
});

test('S18: trailers with http2-settings do not end the waypoint: they end there, the rest of the trailers goes on', async (t) => {
  const app = await startHttp2App(t, (stream) => {
    stream.respond({ ':status': 200 });
    stream.end('ok');
  });
  const rig = await aRig(t, { appProtocol: 'http2' });
  rig.endpoints([app.port]);
  const literal = (name: string, value: string): Buffer =>
    Buffer.concat([Buffer.from([0, name.length]), Buffer.from(name), Buffer.from([value.length]), Buffer.from(value)]);
  // POST, http, / from the static table, and an authority.
  const head = Buffer.concat([Buffer.from([0x83, 0x86, 0x84, 0x41, 1]), Buffer.from('a')]);
  const frames = [
    { type: FRAME_TYPE.headers, flags: 4, stream: 1, payload: head },
    { type: FRAME_TYPE.data, flags: 0, stream: 1, payload: Buffer.from('body') },
    {
      type: FRAME_TYPE.headers,
      flags: 4 | END_STREAM,
      stream: 1,
      payload: Buffer.concat([literal('http2-settings', 'x'), literal('connection-id', '7')]),
    },
  ];
  const socket = net.connect(rig.port, '127.0.0.1');
  socket.on('error', () => {}).resume();
  t.after(() => socket.destroy());
  socket.write(Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), settingsAndAck(), ...frames.map(frameBytes)]));
  await until(() => app.heard.length === 1);
  assert.deepEqual([app.heard[0]?.body, app.heard[0]?.trailers?.['connection-id']], ['body', '7']);
  assert.equal(app.heard[0]?.trailers?.['http2-settings'], undefined);
  assert.equal((await ask2(http2Client(t, rig.port), { ':path': '/' })).status, 200);
  assert.deepEqual(told(rig), []);
});
