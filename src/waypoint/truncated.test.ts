import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import test, { type TestContext } from 'node:test';
import { END_STREAM, FRAME_TYPE, type Frame, frameBytes, STATUS_200, settingsAndAck } from '#platform/http2/frames.testing.ts';
import { curl } from './clients.testing.ts';
import { ask2, http2Client } from './http2-clients.testing.ts';
import { type Rig, startRig } from './waypoint-rig.testing.ts';

const END_HEADERS = 4;
const NO_ERROR = Buffer.alloc(4);
/** `content-length: 100`, as a literal that is not indexed. */
const LENGTH_100 = Buffer.concat([Buffer.from([0x0f, 0x0d, 3]), Buffer.from('100')]);

const frame = (type: number, flags: number, payload: Buffer): Frame => ({ type, flags, stream: 1, payload });
const head = (more: Buffer, flags = 0): Frame =>
  frame(FRAME_TYPE.headers, END_HEADERS | flags, Buffer.concat([STATUS_200, more]));
const data = (text: string, flags = 0): Frame => frame(FRAME_TYPE.data, flags, Buffer.from(text));
const RESET = frame(FRAME_TYPE.rstStream, 0, NO_ERROR);
const NOTHING = Buffer.alloc(0);

/** An app that answers each HTTP/2 connection with these frames. */
async function http2App(t: TestContext, frames: readonly Frame[]): Promise<number> {
  return listen(t, (socket) => {
    socket.once('data', () => {
      socket.write(settingsAndAck());
      setTimeout(() => socket.write(Buffer.concat(frames.map(frameBytes))), 20);
    });
  });
}

/** An app that answers each HTTP/1 connection with these bytes, and hangs up. */
async function http1App(t: TestContext, answer: string): Promise<number> {
  return listen(t, (socket) => socket.once('data', () => socket.end(answer)));
}

async function listen(t: TestContext, serve: (socket: net.Socket) => void): Promise<number> {
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    serve(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as net.AddressInfo).port;
}

const short: { name: string; appProtocol: 'http2' | 'http11'; app(t: TestContext): Promise<number> }[] = [
  {
    name: 'HTTP/2, RST_STREAM(NO_ERROR) before END_STREAM',
    appProtocol: 'http2',
    app: (t) => http2App(t, [head(NOTHING), data('part'), RESET]),
  },
  {
    name: 'HTTP/2, the same with a length announced',
    appProtocol: 'http2',
    app: (t) => http2App(t, [head(LENGTH_100), data('part'), RESET]),
  },
  {
    name: 'HTTP/2, END_STREAM before the announced length',
    appProtocol: 'http2',
    app: (t) => http2App(t, [head(LENGTH_100), data('part', END_STREAM)]),
  },
  {
    name: 'HTTP/2, a head alone of an announced length',
    appProtocol: 'http2',
    app: (t) => http2App(t, [head(LENGTH_100, END_STREAM)]),
  },
  {
    name: 'HTTP/1, the connection ends before the length',
    appProtocol: 'http11',
    app: (t) => http1App(t, 'HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\npart'),
  },
  {
    name: 'HTTP/1, the connection ends before the last chunk',
    appProtocol: 'http11',
    app: (t) => http1App(t, 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\npart\r\n'),
  },
];
for (const { name, appProtocol, app } of short) {
  const setUp = async (t: TestContext): Promise<Rig> => {
    const rig = await startRig({ appProtocol });
    t.after(() => rig.close());
    rig.endpoints([await app(t)]);
    return rig;
  };
  const flagOf = (rig: Rig): unknown => rig.lines.find(({ message }) => message === 'request complete')?.response_flags;

  test(`S14: an answer that falls short does not look complete: ${name}, HTTP/1 client`, async (t) => {
    const rig = await setUp(t);
    const { code, status } = await curl(rig.port, '/');
    // curl: 18 partial file, 56 broken chunk; where nothing of the answer had gone out it is ours.
    assert.ok(code !== 0 || status >= 500, `curl took it for whole: ${status}`);
    assert.notEqual(flagOf(rig), '-');
  });

  test(`S14: an answer that falls short does not look complete: ${name}, HTTP/2 client`, async (t) => {
    const rig = await setUp(t);
    const answer = await ask2(http2Client(t, rig.port), { ':path': '/' });
    assert.ok(answer.error !== null || answer.status >= 500, `the client took it for whole: ${answer.status}`);
    assert.notEqual(flagOf(rig), '-');
  });
}

test('S14: what comes whole is whole, with a length announced and without', async (t) => {
  for (const frames of [
    [head(NOTHING), data('whole', END_STREAM)],
    [head(Buffer.concat([Buffer.from([0x0f, 0x0d, 1]), Buffer.from('5')])), data('whole', END_STREAM)],
  ]) {
    const rig = await startRig({ appProtocol: 'http2' });
    t.after(() => rig.close());
    rig.endpoints([await http2App(t, frames)]);
    const { code, status, body } = await curl(rig.port, '/');
    assert.deepEqual([code, status, body.includes('whole')], [0, 200, true]);
  }
});
