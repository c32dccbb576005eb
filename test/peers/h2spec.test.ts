import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import net from 'node:net';
import test, { type TestContext } from 'node:test';
import { connectTls, createTestIdentities, listenOnLoopback, startTestServer } from '../../src/platform/hbone/peers.testing.ts';
import { startApp } from '../../src/waypoint/clients.testing.ts';
import { startHttp2App } from '../../src/waypoint/http2-clients.testing.ts';
import { startRig } from '../../src/waypoint/waypoint-rig.testing.ts';
import { type Conformance, h2spec } from './h2spec.testing.ts';
import { PROGRAMS, SKIP } from './peers.testing.ts';

/** All that there are: a report that lost some would pass otherwise. */
const CASES = 146;

/** What fails on purpose at an entry that takes HTTP/1.1 as well: a preface of neither is a request that is answered 400, then closed. */
const OF_BOTH_VERSIONS = ['http2/3.5: Sends invalid connection preface'];

/**
 * What fails on purpose where nothing but CONNECT is served (B6): every request of h2spec gets 400 without a body, at once. So no
 * answer waits for a window and no stream stays open; and a request whose head is sound is answered before its body or its trailers
 * are looked at, as RFC 9113 8.1 allows. Of 4.2: our limit of a frame is larger than the 16 KiB that h2spec goes beyond.
 */
const OF_TUNNELS = [
  'generic/2: Sends a WINDOW_UPDATE frame on half-closed (remote) stream',
  'generic/2: Sends a PRIORITY frame on half-closed (remote) stream',
  'http2/4.2: Sends a large size HEADERS frame that exceeds the SETTINGS_MAX_FRAME_SIZE',
  'http2/5.1.2: Sends HEADERS frames that causes their advertised concurrent stream limit to be exceeded',
  'http2/6.5.3: Sends multiple values of SETTINGS_INITIAL_WINDOW_SIZE',
  'http2/6.9.1: Sends SETTINGS frame to set the initial window size to 1 and sends HEADERS frame',
  'http2/6.9.1: Sends multiple WINDOW_UPDATE frames increasing the flow control window to above 2^31-1 on a stream',
  'http2/6.9.2: Changes SETTINGS_INITIAL_WINDOW_SIZE after sending HEADERS frame',
  'http2/6.9.2: Sends a SETTINGS frame for window size to be negative',
  'http2/8.1: Sends a second HEADERS frame without the END_STREAM flag',
  'http2/8.1.2.1: Sends a HEADERS frame that contains a pseudo-header field as trailers',
  'http2/8.1.2.6: Sends a HEADERS frame with the "content-length" header field which does not equal the DATA frame payload length',
  'http2/8.1.2.6: Sends a HEADERS frame with the "content-length" header field which does not equal the sum of the multiple DATA frames payload length',
];

test('where there is a Go, continuous integration has built the programs of others', {
  skip: process.env.CI === undefined,
}, () => {
  assert.ok(PROGRAMS !== null || !hasGo(), 'testbed/peers/programs build says why they are not there');
});

test('h2spec: every case at the entry of a waypoint, over HTTP/2 and HTTP/1.1 upstreams', { skip: SKIP }, async (t) => {
  const content = 'more than the few bytes that h2spec grants';
  const newer = await startHttp2App(t, (stream) => {
    if (stream.destroyed) return;
    stream.respond({ ':status': 200 });
    stream.end(content);
  });
  const older = await startApp(t, (_heard, response) => response.end(content));
  for (const [appProtocol, port] of [
    ['http2', newer.port],
    ['http11', older.port],
  ] as const) {
    const rig = await startRig({ appProtocol });
    t.after(() => rig.close());
    rig.endpoints([port]);
    const { cases, failed } = await h2spec(rig.port);
    assert.equal(cases, CASES);
    assert.deepEqual(namesOf(failed), OF_BOTH_VERSIONS, JSON.stringify(failed, null, 1));
  }
});

test('h2spec: every case at a port of HBONE, inside mutual TLS', { skip: SKIP }, async (t) => {
  const { web, cart } = await createTestIdentities();
  const server = await startTestServer(t, { credentials: async () => cart, onTunnel: (tunnel) => tunnel.refuse(503) });
  const port = await withTls(t, () => connectTls(t, server.port, web));
  const { cases, failed } = await h2spec(port);
  assert.equal(cases, CASES);
  assert.deepEqual(namesOf(failed), OF_TUNNELS, JSON.stringify(failed, null, 1));
});

function namesOf(failed: Conformance['failed']): string[] {
  return failed.map(({ name }) => name);
}

/** A port whose connections go through TLS, for what cannot prove who it is. */
function withTls(t: TestContext, connect: () => net.Socket): Promise<number> {
  const entry = net.createServer((plain) => {
    const secured = connect();
    plain.on('error', () => secured.destroy());
    secured.on('close', () => plain.end());
    plain.pipe(secured).pipe(plain);
  });
  return listenOnLoopback(t, entry);
}

function hasGo(): boolean {
  try {
    execFileSync('go', ['version']);
    return true;
  } catch {
    // There is none.
    return false;
  }
}
