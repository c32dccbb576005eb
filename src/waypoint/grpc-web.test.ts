import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import type { WaypointService } from '#model/waypoint/config.ts';
import { framed } from '#protocol/grpc/unary.ts';
import { deadPort, rawClient } from '#waypoint/clients.testing.ts';
import { type App2, ask2, http2Client, startHttp2App } from '#waypoint/http2-clients.testing.ts';
import { CART, type Rig, startRig, until } from '#waypoint/waypoint-rig.testing.ts';

const MESSAGE = framed(Buffer.from('hello'));
const GRPC = { ':method': 'POST', ':path': '/shop.Cart/Add' };
const TRAILERS = 'grpc-status:0\r\ngrpc-message:well\r\n';
const TRAILERS_FRAME = Buffer.concat([Buffer.from([0x80, 0, 0, 0, TRAILERS.length]), Buffer.from(TRAILERS)]);

/** A server of gRPC that answers each call with two messages and its trailers. */
const startCart = (t: TestContext): Promise<App2> =>
  startHttp2App(t, (stream) => {
    stream.respond({ ':status': 200, 'content-type': 'application/grpc+proto', 'content-length': 20 }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0', 'grpc-message': 'well' }));
    stream.write(MESSAGE);
    setImmediate(() => stream.end(MESSAGE));
  });

async function webRig(t: TestContext, port: number, service: Partial<WaypointService> = { grpcWebPorts: [80] }): Promise<Rig> {
  const config = { services: [{ key: CART, routes: [], policies: [], ...service }] };
  const rig = await startRig({ appProtocol: 'grpc', config });
  t.after(() => rig.close());
  rig.endpoints([port]);
  return rig;
}

test('W81 a call of gRPC-Web is one of gRPC to its server, and its trailers end the body that comes back', async (t) => {
  const app = await startCart(t);
  const rig = await webRig(t, app.port);
  const answer = await ask2(http2Client(t, rig.port), { ...GRPC, 'content-type': 'application/grpc-web+proto' }, MESSAGE);
  assert.deepEqual([answer.status, answer.headers['content-type'], answer.trailers], [200, 'application/grpc-web+proto', null]);
  assert.deepEqual(Buffer.from(answer.body, 'latin1'), Buffer.concat([MESSAGE, MESSAGE, TRAILERS_FRAME]));
  const [heard] = app.heard;
  assert.deepEqual([heard?.headers['content-type'], heard?.headers.te], ['application/grpc+proto', 'trailers']);
  assert.equal(heard?.body, MESSAGE.toString('latin1'));
  assert.equal(rig.waypoint.meters.total('istio_response_messages_total'), 2);
});

test('W81 over HTTP/1.1, as text, in pieces and with padding between: each piece of the answer can be read as it comes', async (t) => {
  const app = await startCart(t);
  const rig = await webRig(t, app.port);
  const client = await rawClient(t, rig.port);
  client.socket.setNoDelay(true);
  const text = `${MESSAGE.toString('base64')}${MESSAGE.toString('base64')}`;
  client.socket.write(
    `POST /shop.Cart/Add HTTP/1.1\r\nhost: a\r\ncontent-type: application/grpc-web-text\r\ncontent-length: ${text.length}\r\n\r\n`,
  );
  for (const piece of text) await new Promise((resolve) => client.socket.write(piece, resolve));
  await until(() => client.received().endsWith('0\r\n\r\n'));
  const [head = '', ...chunks] = client.received().split(/\r\n(?:\r\n)?[0-9a-f]+\r\n/);
  assert.match(head, /content-type: application\/grpc-web-text\+proto/);
  assert.ok(!/content-length/.test(head));
  const bytes = chunks.map((chunk) =>
    Buffer.concat((chunk.trim().match(/[^=]+=*/g) ?? []).map((one) => Buffer.from(one, 'base64'))),
  );
  assert.deepEqual(Buffer.concat(bytes), Buffer.concat([MESSAGE, MESSAGE, TRAILERS_FRAME]));
  assert.equal(app.heard[0]?.body, Buffer.concat([MESSAGE, MESSAGE]).toString('latin1'));
});

for (const text of ['AAAA*', 'AAA']) // no base64, and not all of it
  test(`W81 "${text}" is no text, which the client is told, and the server sees no call that ended well`, async (t) => {
    const app = await startCart(t);
    const rig = await webRig(t, app.port);
    const type = 'application/grpc-web-text';
    const answer = await ask2(http2Client(t, rig.port), { ...GRPC, 'content-type': type }, `${text}${text}${text}`);
    assert.deepEqual([answer.status, answer.headers['content-type'], answer.headers['grpc-status']], [200, type, '13']);
    assert.deepEqual(app.heard, []);
  });

test('W81 what the waypoint answers itself is gRPC-Web, too: the status is in its head', async (t) => {
  const rig = await webRig(t, await deadPort());
  const answer = await ask2(http2Client(t, rig.port), { ...GRPC, 'content-type': 'application/grpc-web' }, MESSAGE);
  assert.deepEqual([answer.status, answer.headers['content-type'], answer.body], [200, 'application/grpc-web', '']);
  assert.equal(answer.headers['grpc-status'], '14');
});

test('W81 a page in the place of an answer stays what it is, and so does what is not asked as gRPC-Web', async (t) => {
  const app = await startHttp2App(t, (stream) => {
    stream.respond({ ':status': 404, 'content-type': 'text/html' });
    stream.end('<p>');
  });
  const rig = await webRig(t, app.port);
  const client = http2Client(t, rig.port);
  for (const type of ['application/grpc-web', 'application/json']) {
    const answer = await ask2(client, { ...GRPC, 'content-type': type }, MESSAGE);
    assert.deepEqual([answer.status, answer.headers['content-type'], answer.body], [404, 'text/html', '<p>']);
  }
  assert.deepEqual(
    app.heard.map(({ headers }) => headers['content-type']),
    ['application/grpc', 'application/json'],
  );
});

test('W81 on a port that does not ask for it, gRPC-Web is carried as it is', async (t) => {
  const app = await startCart(t);
  const rig = await webRig(t, app.port, { grpcWebPorts: [81] });
  const answer = await ask2(http2Client(t, rig.port), { ...GRPC, 'content-type': 'application/grpc-web' }, MESSAGE);
  assert.equal(app.heard[0]?.headers['content-type'], 'application/grpc-web');
  assert.equal(answer.headers['content-type'], 'application/grpc+proto');
});

test('W81 a reader of text that is slow holds its server back, and gets all of it', async (t) => {
  const big = framed(Buffer.alloc(3_000_001, 7));
  const app = await startHttp2App(t, (stream) => {
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' });
    stream.end(big);
  });
  const rig = await webRig(t, app.port);
  const session = http2Client(t, rig.port);
  const stream = session.request({ ...GRPC, 'content-type': 'application/grpc-web-text' });
  stream.end(MESSAGE.toString('base64'));
  const pieces: Buffer[] = [];
  for await (const piece of stream) {
    pieces.push(piece);
    await new Promise((resolve) => setImmediate(resolve));
  }
  const parts =
    Buffer.concat(pieces)
      .toString('latin1')
      .match(/[^=]+=*/g) ?? [];
  assert.ok(Buffer.concat(parts.map((part) => Buffer.from(part, 'base64'))).equals(big));
});
