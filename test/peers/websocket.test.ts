import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import http2 from 'node:http2';
import net from 'node:net';
import { createInterface } from 'node:readline';
import type { Duplex } from 'node:stream';
import test, { type TestContext } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { rawClient } from '../../src/waypoint/clients.testing.ts';
import { ask2, http2Client } from '../../src/waypoint/http2-clients.testing.ts';
import { type Rig, startRig, until } from '../../src/waypoint/waypoint-rig.testing.ts';
import { program, SKIP } from './peers.testing.ts';
import { CASES, type WebSocketCase } from './websocket-frames.testing.ts';

// A server of others (gorilla/websocket) that echoes, and cases after the sections of the Autobahn suite, byte for byte: through a
// waypoint, over HTTP/1.1 and over HTTP/2, a client gets what it gets without one.

const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';
const ACCEPT = createHash('sha1').update(`${KEY}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
const OFFER = 'permessage-deflate; server_no_context_takeover; client_no_context_takeover';

async function startEcho(t: TestContext): Promise<number> {
  const child: ChildProcess = spawn(program('websocket-echo'), { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  assert.ok(child.stdout !== null);
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
  return (JSON.parse(line) as { port: number }).port;
}

async function startMesh(t: TestContext): Promise<{ rig: Rig; echo: number }> {
  const echo = await startEcho(t);
  const rig = await startRig();
  t.after(() => rig.close());
  rig.endpoints([echo]);
  return { rig, echo };
}

/** The stream behind a handshake of HTTP/1.1. */
async function overHttp1(port: number): Promise<Duplex> {
  const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  const lines = [
    'Host: a',
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    `Sec-WebSocket-Key: ${KEY}`,
  ];
  socket.write(
    `GET /chat HTTP/1.1\r\n${lines.join('\r\n')}\r\nSec-WebSocket-Extensions: ${OFFER}\r\nSec-WebSocket-Protocol: echo\r\n\r\n`,
  );
  let head = Buffer.alloc(0);
  while (!head.includes('\r\n\r\n')) head = Buffer.concat([head, ((await once(socket, 'data')) as [Buffer])[0]]);
  socket.pause();
  const end = head.indexOf('\r\n\r\n') + 4;
  if (end < head.length) socket.unshift(head.subarray(end));
  const text = head.toString('latin1', 0, end).toLowerCase();
  assert.match(text, /^http\/1\.1 101 /);
  assert.ok(text.includes(`sec-websocket-accept: ${ACCEPT.toLowerCase()}\r\n`), text);
  assert.match(text, /sec-websocket-protocol: echo\r\n/);
  return socket;
}

/** The stream behind an extended CONNECT (RFC 8441). */
async function overHttp2(session: http2.ClientHttp2Session): Promise<Duplex> {
  if (session.remoteSettings.enableConnectProtocol === undefined) await once(session, 'remoteSettings');
  assert.equal(session.remoteSettings.enableConnectProtocol, true);
  const stream = session.request(
    {
      ':method': 'CONNECT',
      ':protocol': 'websocket',
      ':scheme': 'http',
      ':path': '/chat',
      ':authority': 'a',
      'sec-websocket-version': '13',
      'sec-websocket-protocol': 'echo',
      'sec-websocket-extensions': OFFER,
    },
    { endStream: false },
  );
  const [headers] = (await once(stream, 'response')) as [http2.IncomingHttpHeaders];
  assert.equal(headers[':status'], 200);
  assert.equal(headers['sec-websocket-protocol'], 'echo');
  assert.equal(headers['sec-websocket-accept'], undefined);
  return stream;
}

/** Writes a case's bytes in its pieces, and takes what comes until the server ends. */
async function converse(stream: Duplex, { bytes, pieceBytes }: WebSocketCase): Promise<string> {
  const digest = createHash('sha256');
  let received = 0;
  stream.on('data', (data: Buffer) => {
    received += data.length;
    digest.update(data);
  });
  const over = once(stream, 'end');
  stream.resume();
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    if (!stream.write(bytes.subarray(at, at + pieceBytes))) await once(stream, 'drain');
    // Pieces that arrive as pieces, without a timer.
    if (pieceBytes < 100) await turn();
  }
  // Without a close frame of its own, the client's end is what the server waits for.
  if (bytes.length === 0) stream.end();
  await over;
  stream.end();
  stream.destroy();
  return `${received} bytes, ${digest.digest('hex')}`;
}

test(`W29 WebSocket: ${CASES.length} cases through a waypoint, over HTTP/1.1 and HTTP/2, as without one`, {
  skip: SKIP,
}, async (t) => {
  const { rig, echo } = await startMesh(t);
  const session = http2Client(t, rig.port);
  for (const one of CASES) {
    const direct = await converse(await overHttp1(echo), one);
    assert.equal(await converse(await overHttp1(rig.port), one), direct, `over HTTP/1.1: ${one.name}`);
    assert.equal(await converse(await overHttp2(session), one), direct, `over HTTP/2: ${one.name}`);
  }
  await until(() => rig.lines.filter(({ response_code }) => response_code === 101).length === 2 * CASES.length);
  assert.equal(rig.waypoint.counters.openRequests, 0);
});

test('W29 WebSocket: the client of Node.js, with a protocol, both kinds of message and a reason to close', {
  skip: SKIP,
}, async (t) => {
  const { rig } = await startMesh(t);
  const socket = new WebSocket(`ws://127.0.0.1:${rig.port}/chat`, ['other', 'echo']);
  socket.binaryType = 'arraybuffer';
  await once(socket, 'open');
  assert.equal(socket.protocol, 'echo');
  for (const message of ['text', new Uint8Array([1, 2, 3]).buffer]) {
    socket.send(message);
    const [{ data }] = (await once(socket, 'message')) as [MessageEvent];
    assert.deepEqual(data, message);
  }
  socket.close(4000, 'enough');
  const [{ code, wasClean }] = (await once(socket, 'close')) as [CloseEvent];
  assert.deepEqual([code, wasClean], [4000, true]);
});

test('W29 W30 WebSocket over HTTP/2: what the app does not want, another protocol, and an end with the head', {
  skip: SKIP,
}, async (t) => {
  const { rig } = await startMesh(t);
  const session = http2Client(t, rig.port);
  await overHttp2(session).then((stream) => stream.destroy());
  const extended = { ':method': 'CONNECT', ':protocol': 'websocket', ':scheme': 'http', ':authority': 'a', ':path': '/chat' };
  const open = (change: http2.OutgoingHttpHeaders) => ask2(session, { ...extended, ...change }, '');
  assert.equal((await open({ ':path': '/refused' })).status, 426);
  assert.equal((await open({ ':protocol': 'connect-udp' })).status, 501);
  const stream = session.request(extended, { endStream: true });
  const [headers] = (await once(stream, 'response')) as [http2.IncomingHttpHeaders];
  assert.equal(headers[':status'], 400);
});

test('W29 W73 WebSocket over HTTP/2: the end of either side, and of the connection, reaches the other', {
  skip: SKIP,
}, async (t) => {
  const rig = await startRig();
  t.after(() => rig.close());
  const sockets: net.Socket[] = [];
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    sockets.push(socket);
    socket.once('data', () =>
      socket.write('HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Protocol: echo\r\n\r\n'),
    );
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  rig.endpoints([(server.address() as net.AddressInfo).port]);
  const carrier = net.connect(rig.port, '127.0.0.1');
  const session = http2.connect('http://a', { createConnection: () => carrier });
  session.on('error', () => {});
  const [ended, reset, lost] = [await overHttp2(session), await overHttp2(session), await overHttp2(session)];
  const [first, second, third] = sockets;
  assert.ok(first !== undefined && second !== undefined && third !== undefined);
  ended.end();
  await once(first, 'end');
  first.end('last words');
  assert.equal(String((await once(ended, 'data'))[0]), 'last words');
  reset.on('error', () => {});
  second.on('error', () => {});
  second.resetAndDestroy();
  await closed(reset);
  lost.on('error', () => {});
  third.on('error', () => {});
  carrier.resetAndDestroy();
  await closed(third);
  await until(() => rig.waypoint.counters.openRequests === 0);
});

/** However it came to be. */
function closed(stream: Duplex): Promise<void> {
  return new Promise((resolve) => stream.once('close', resolve));
}

test('WebSocket over HTTP/1.1: a request in clear behind a refusal is judged by itself', { skip: SKIP }, async (t) => {
  const { rig } = await startMesh(t);
  const client = await rawClient(t, rig.port);
  const lines = 'Host: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 12\r\n';
  client.socket.write(`GET /chat HTTP/1.1\r\n${lines}\r\nGET /refused HTTP/1.1\r\nHost: a\r\n\r\n`);
  await until(() => client.received().split('HTTP/1.1 ').length === 3);
  assert.match(client.received(), /^HTTP\/1\.1 400 [\s\S]*HTTP\/1\.1 426 /);
});
