import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TUNNEL } from '#model/settings/tunnels.ts';
import { ERROR_CODE, FLAG, FRAME, PREFACE } from './constants.ts';
import { CutStreams } from './cut-streams.ts';
import { encodeHeaders } from './hpack-encoder.ts';
import { framesOf, rawFrame, type TestEnd, testEnd } from './wire.testing.ts';

const CONNECT = encodeHeaders([
  [':method', 'CONNECT'],
  [':authority', 'a:1'],
]);
const END = FLAG.endHeaders | FLAG.endStream;

function head(streamId: number, flags: number = FLAG.endHeaders): Buffer {
  return rawFrame(FRAME.headers, flags, streamId, CONNECT);
}

function startServer(...frames: Buffer[]): TestEnd {
  const server = testEnd('server');
  server.connection.receive(Buffer.concat([PREFACE, rawFrame(FRAME.settings, 0, 0), ...frames]));
  server.take();
  return server;
}

/** What was answered: type of the frame, stream and error code. */
function answers(server: TestEnd): string[] {
  return framesOf(server.take(), false).map(({ type, streamId, payload }) => {
    if (type === FRAME.rstStream) return `reset ${streamId} ${payload.readUInt32BE(0)}`;
    return type === FRAME.goaway ? `goaway ${payload.readUInt32BE(4)}` : `frame ${type}`;
  });
}

test('what comes late on a stream that we ended is ignored, up to the end that the peer sends', () => {
  const server = startServer(head(1));
  server.streams[0]?.stream?.reset(ERROR_CODE.cancel);
  server.connection.receive(rawFrame(FRAME.data, 0, 1, Buffer.alloc(10)));
  server.connection.receive(head(1, END));
  assert.deepEqual(answers(server), [`reset 1 ${ERROR_CODE.cancel}`]);
  server.connection.receive(rawFrame(FRAME.data, 0, 1, Buffer.alloc(10)));
  assert.deepEqual(answers(server), [`reset 1 ${ERROR_CODE.streamClosed}`]);
});

test('DATA behind the end or the reset of the peer is an error of its stream, HEADERS there one of the connection', () => {
  for (const ending of [rawFrame(FRAME.data, FLAG.endStream, 1), rawFrame(FRAME.rstStream, 0, 1, Buffer.from([0, 0, 0, 8]))]) {
    const server = startServer(head(1));
    server.streams[0]?.stream?.sendHeaders([[':status', '200']], true);
    server.connection.receive(ending);
    server.take();
    server.connection.receive(rawFrame(FRAME.data, 0, 1, Buffer.alloc(10)));
    assert.deepEqual(answers(server), [`reset 1 ${ERROR_CODE.streamClosed}`]);
    server.connection.receive(head(1));
    assert.deepEqual(answers(server), [`goaway ${ERROR_CODE.streamClosed}`]);
  }
});

test('a stream that was passed over cannot be opened later', () => {
  const server = startServer(head(5));
  server.connection.receive(head(3));
  assert.deepEqual(answers(server), [`goaway ${ERROR_CODE.streamClosed}`]);
});

test('a stream that was refused may still send what was on its way', () => {
  const server = startServer(head(1), head(3), head(5), head(7));
  server.connection.receive(rawFrame(FRAME.data, FLAG.endStream, 7, Buffer.alloc(10)));
  assert.deepEqual(answers(server), []);
  assert.equal(server.connection.streams, 3);
});

test('of more streams than are remembered the oldest are taken for late', () => {
  const cut = new CutStreams('server');
  for (let id = 1; id <= 2 * TUNNEL.cutStreamsMax + 3; id += 2) cut.add(id);
  assert.equal(cut.hears(1, true), true);
  assert.equal(cut.hears(1, false), true);
  assert.equal(cut.hears(7, true), true);
  assert.equal(cut.hears(7, true), false);
  assert.equal(cut.hears(8, false), false);
});

test('nothing depends on itself', () => {
  for (const frame of [
    rawFrame(FRAME.priority, 0, 3, Buffer.from([0x80, 0, 0, 3, 16])),
    rawFrame(FRAME.headers, FLAG.endHeaders | FLAG.priority, 3, Buffer.concat([Buffer.from([0, 0, 0, 3, 16]), CONNECT])),
  ]) {
    const server = startServer(frame);
    assert.match(server.events.at(-1) ?? '', new RegExp(`^failed ${ERROR_CODE.protocolError} a stream that depends on itself`));
  }
});
