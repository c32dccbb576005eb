import assert from 'node:assert/strict';
import { once } from 'node:events';
import http2 from 'node:http2';
import test, { type TestContext } from 'node:test';
import { HTTP2 } from '#model/settings/http.ts';
import { ask2, http2Client, startHttp2App } from './http2-clients.testing.ts';
import { startRig, until } from './waypoint-rig.testing.ts';

/** A waypoint whose app answers `/` and leaves everything else waiting, and one connection to it. */
async function setUp(t: TestContext) {
  const app = await startHttp2App(t, (stream, { headers }) => {
    if (headers[':path'] !== '/') return;
    stream.respond({ ':status': 200 });
    stream.end('ok');
  });
  const rig = await startRig({ appProtocol: 'http2' });
  t.after(() => rig.close());
  rig.endpoints([app.port]);
  const client = http2Client(t, rig.port);
  const withdraw = async (count: number): Promise<void> => {
    for (let left = count; left > 0; left -= 50) {
      const streams = Array.from({ length: Math.min(50, left) }, () =>
        client.request({ ':path': '/waits' }).on('error', () => {}),
      );
      const closed = streams.map((stream) => once(stream, 'close'));
      const before = rig.waypoint.counters.requests;
      await until(() => rig.waypoint.counters.requests >= before || client.destroyed);
      for (const stream of streams) stream.close(http2.constants.NGHTTP2_CANCEL);
      await Promise.all(closed);
    }
    await until(() => rig.waypoint.counters.openRequests === 0 || client.destroyed);
  };
  return { rig, client, withdraw };
}

test('S21: thousands of withdrawn calls over the life of a channel, good ones between them, leave it open', async (t) => {
  const { rig, client, withdraw } = await setUp(t);
  for (let round = 0; round < 20; round++) {
    await withdraw(100);
    assert.equal((await ask2(client, { ':path': '/' })).status, 200);
    rig.clock.advance(HTTP2.prematureWithinMs);
  }
  assert.equal(client.destroyed, false);
});

test('S21: as many within one second end it, and GOAWAY and the log say why', async (t) => {
  const { rig, client, withdraw } = await setUp(t);
  const told = once(client, 'goaway');
  await withdraw(HTTP2.prematureResetsMax + 50).catch(() => {});
  const [code, , reason] = await told;
  assert.equal(code, http2.constants.NGHTTP2_ENHANCE_YOUR_CALM);
  assert.match(String(reason), /requests withdrawn within 1000 ms/);
  await until(() => rig.lines.some(({ error }) => String(error).includes('http2.too_many_resets')));
});
