import assert from 'node:assert/strict';
import http from 'node:http';
import http2 from 'node:http2';
import type net from 'node:net';
import test, { type TestContext } from 'node:test';
import type { AppProtocol } from '#model/mesh/service.ts';
import { rawClient } from '#waypoint/clients.testing.ts';
import { http2Client } from '#waypoint/http2-clients.testing.ts';
import { startRig, until } from '#waypoint/waypoint-rig.testing.ts';

type Witness = { port: number; received: number; complete: boolean; aborted: boolean };

/** An app that watches one request body. */
async function startWitness(t: TestContext, version: 'http1' | 'http2'): Promise<Witness> {
  const witness: Witness = { port: 0, received: 0, complete: false, aborted: false };
  const server = version === 'http2' ? http2.createServer() : http.createServer();
  const watch = (request: NodeJS.ReadableStream): void => {
    request.on('data', (data: Buffer) => {
      witness.received += data.length;
    });
    request.on('end', () => {
      // node:http2 says `end` for a stream that was reset, too.
      witness.complete = !('rstCode' in request && request.rstCode !== 0);
    });
    request.on('error', () => {});
    request.on('aborted', () => {
      witness.aborted = true;
    });
  };
  if (version === 'http2') server.on('stream', watch);
  else server.on('request', watch);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.close();
    if (server instanceof http.Server) server.closeAllConnections();
  });
  witness.port = (server.address() as net.AddressInfo).port;
  return witness;
}

const WAYS: { client: 'http1' | 'http2'; app: 'http1' | 'http2'; appProtocol: AppProtocol }[] = [
  { client: 'http1', app: 'http1', appProtocol: 'http11' },
  { client: 'http1', app: 'http2', appProtocol: 'http2' },
  { client: 'http2', app: 'http1', appProtocol: 'http11' },
  { client: 'http2', app: 'http2', appProtocol: 'http2' },
];

for (const { client, app, appProtocol } of WAYS) {
  test(`a request that breaks off never looks complete: ${client} client, ${app} app`, async (t) => {
    const witness = await startWitness(t, app);
    const rig = await startRig({ appProtocol });
    t.after(() => rig.close());
    rig.endpoints([witness.port]);
    const breakOff = client === 'http1' ? await sendHttp1(t, rig.port) : sendHttp2(t, rig.port);
    await until(() => witness.received === 5);
    breakOff();
    await until(() => witness.aborted || witness.complete);
    assert.ok(!witness.complete);
    assert.equal(rig.waypoint.counters.openRequests, 0);
  });
}

async function sendHttp1(t: TestContext, port: number): Promise<() => void> {
  const { socket } = await rawClient(t, port);
  socket.write('POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n');
  return () => socket.destroy();
}

function sendHttp2(t: TestContext, port: number): () => void {
  const stream = http2Client(t, port).request({ ':method': 'POST', ':path': '/' }, { waitForTrailers: true });
  stream.on('error', () => {});
  stream.write('hello');
  return () => stream.close(http2.constants.NGHTTP2_CANCEL);
}
