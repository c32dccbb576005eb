import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ERROR_CODE, FLAG, FRAME, PREFACE, SETTING } from './constants.ts';
import { encodeHeaders } from './hpack-encoder.ts';
import { connectedPair, framesOf, rawFrame, testEnd } from './wire.testing.ts';

const CONNECT = encodeHeaders([
  [':method', 'CONNECT'],
  [':authority', 'a:1'],
]);
const SETTINGS_FRAME = rawFrame(FRAME.settings, 0, 0);
const uint32 = (value: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};
const setting = (identifier: number, value: number) => Buffer.concat([Buffer.from([0, identifier]), uint32(value)]);
const opened = rawFrame(FRAME.headers, FLAG.endHeaders, 1, CONNECT);

const violations: [name: string, code: number, ...frames: Buffer[]][] = [
  ['a first frame that is not SETTINGS', ERROR_CODE.protocolError, rawFrame(FRAME.ping, 0, 0, Buffer.alloc(8))],
  ['SETTINGS on a stream', ERROR_CODE.protocolError, rawFrame(FRAME.settings, 0, 1)],
  ['SETTINGS that acknowledge with more', ERROR_CODE.frameSizeError, rawFrame(FRAME.settings, FLAG.ack, 0, Buffer.alloc(6))],
  ['PING on a stream', ERROR_CODE.protocolError, SETTINGS_FRAME, rawFrame(FRAME.ping, 0, 1, Buffer.alloc(8))],
  ['GOAWAY on a stream', ERROR_CODE.protocolError, SETTINGS_FRAME, rawFrame(FRAME.goaway, 0, 1, Buffer.alloc(8))],
  ['PRIORITY without a stream', ERROR_CODE.protocolError, SETTINGS_FRAME, rawFrame(FRAME.priority, 0, 0, Buffer.alloc(5))],
  ['PRIORITY of another size', ERROR_CODE.frameSizeError, SETTINGS_FRAME, rawFrame(FRAME.priority, 0, 1, Buffer.alloc(4))],
  [
    'HEADERS interrupted by an unknown frame',
    ERROR_CODE.protocolError,
    SETTINGS_FRAME,
    rawFrame(FRAME.headers, 0, 1, CONNECT),
    rawFrame(0x16, 0, 0, Buffer.alloc(8)),
  ],
  ['SETTINGS cut short', ERROR_CODE.frameSizeError, rawFrame(FRAME.settings, 0, 0, Buffer.alloc(5))],
  ['a frame limit under 16 KiB', ERROR_CODE.protocolError, rawFrame(FRAME.settings, 0, 0, setting(SETTING.frameBytesMax, 100))],
  [
    'a window over 2 GiB',
    ERROR_CODE.flowControlError,
    rawFrame(FRAME.settings, 0, 0, setting(SETTING.initialWindowBytes, 0x8000_0000)),
  ],
  ['push neither on nor off', ERROR_CODE.protocolError, rawFrame(FRAME.settings, 0, 0, setting(SETTING.enablePush, 2))],
  ['a frame over our limit', ERROR_CODE.frameSizeError, SETTINGS_FRAME, opened, rawFrame(FRAME.data, 0, 1, Buffer.alloc(40_001))],
  ['DATA on stream 0', ERROR_CODE.protocolError, SETTINGS_FRAME, rawFrame(FRAME.data, 0, 0, Buffer.alloc(1))],
  ['DATA on an idle stream', ERROR_CODE.protocolError, SETTINGS_FRAME, rawFrame(FRAME.data, 0, 3, Buffer.alloc(1))],
  ['an even stream', ERROR_CODE.protocolError, SETTINGS_FRAME, rawFrame(FRAME.headers, FLAG.endHeaders, 2, CONNECT)],
  ['HEADERS interrupted', ERROR_CODE.protocolError, SETTINGS_FRAME, rawFrame(FRAME.headers, 0, 1, CONNECT), SETTINGS_FRAME],
  [
    'HEADERS interrupted by DATA',
    ERROR_CODE.protocolError,
    SETTINGS_FRAME,
    rawFrame(FRAME.headers, 0, 1, CONNECT),
    rawFrame(FRAME.data, 0, 1),
  ],
  [
    'CONTINUATION of another stream',
    ERROR_CODE.protocolError,
    SETTINGS_FRAME,
    rawFrame(FRAME.headers, 0, 1, CONNECT),
    rawFrame(FRAME.continuation, 4, 3),
  ],
  ['CONTINUATION out of nowhere', ERROR_CODE.protocolError, SETTINGS_FRAME, rawFrame(FRAME.continuation, 4, 1)],
  [
    'endless CONTINUATION',
    ERROR_CODE.enhanceYourCalm,
    SETTINGS_FRAME,
    rawFrame(FRAME.headers, 0, 1),
    ...Array.from({ length: 40 }, () => rawFrame(FRAME.continuation, 0, 1)),
  ],
  [
    'a header block over the limit',
    ERROR_CODE.enhanceYourCalm,
    SETTINGS_FRAME,
    rawFrame(FRAME.headers, 4, 1, Buffer.alloc(2_001)),
  ],
  ['a broken header block', ERROR_CODE.compressionError, SETTINGS_FRAME, rawFrame(FRAME.headers, 4, 1, Buffer.from('ff', 'hex'))],
  [
    'padding longer than the frame',
    ERROR_CODE.protocolError,
    SETTINGS_FRAME,
    opened,
    rawFrame(FRAME.data, FLAG.padded, 1, Buffer.from([5, 0])),
  ],
  ['padding without a length', ERROR_CODE.frameSizeError, SETTINGS_FRAME, opened, rawFrame(FRAME.data, FLAG.padded, 1)],
  ['WINDOW_UPDATE of 0', ERROR_CODE.protocolError, SETTINGS_FRAME, rawFrame(FRAME.windowUpdate, 0, 0, uint32(0))],
  [
    'a connection window over 2 GiB',
    ERROR_CODE.flowControlError,
    SETTINGS_FRAME,
    rawFrame(FRAME.windowUpdate, 0, 0, uint32(0x7fff_ffff)),
  ],
  ['RST_STREAM of an idle stream', ERROR_CODE.protocolError, SETTINGS_FRAME, rawFrame(FRAME.rstStream, 0, 1, uint32(8))],
  ['RST_STREAM cut short', ERROR_CODE.frameSizeError, SETTINGS_FRAME, opened, rawFrame(FRAME.rstStream, 0, 1, Buffer.alloc(3))],
  ['PING cut short', ERROR_CODE.frameSizeError, SETTINGS_FRAME, rawFrame(FRAME.ping, 0, 0, Buffer.alloc(7))],
  ['GOAWAY cut short', ERROR_CODE.frameSizeError, SETTINGS_FRAME, rawFrame(FRAME.goaway, 0, 0, Buffer.alloc(7))],
  ['PUSH_PROMISE', ERROR_CODE.protocolError, SETTINGS_FRAME, rawFrame(FRAME.pushPromise, 4, 1, Buffer.alloc(4))],
];
for (const [name, code, ...frames] of violations) {
  test(`ends the connection: ${name}`, () => {
    const server = testEnd('server');
    server.take();
    server.connection.receive(Buffer.concat([PREFACE, ...frames]));
    assert.match(server.events.at(-1) ?? '', new RegExp(`^failed ${code} `));
    const goaway = framesOf(server.take(), false).at(-1);
    assert.deepEqual([goaway?.type, goaway?.payload.readUInt32BE(4)], [FRAME.goaway, code]);
  });
}

test('something else than HTTP/2 is recognised at its first byte', () => {
  const server = testEnd('server');
  server.connection.receive(Buffer.from('GET / HTTP/1.1\r\n\r\n'));
  assert.match(server.events.at(-1) ?? '', /does not speak HTTP\/2/);
});

test('a stream that overruns its window is reset; one that overruns the connection ends it', () => {
  const { server } = connectedPair();
  server.connection.receive(opened);
  const full = rawFrame(FRAME.data, 0, 1, Buffer.alloc(40_000));
  const [stream] = server.streams;
  assert.ok(stream);
  stream.autoTake = false;
  server.take();
  server.connection.receive(Buffer.concat([full, full, full]));
  assert.deepEqual(stream.events, ['reset 3']);
  assert.equal(
    framesOf(server.take(), false)
      .find(({ type }) => type === FRAME.rstStream)
      ?.payload.readUInt32BE(0),
    ERROR_CODE.flowControlError,
  );
});

test('random frames never break more than their connection', () => {
  const frame = fc.tuple(
    fc.integer({ min: 0, max: 10 }),
    fc.integer({ min: 0, max: 255 }),
    fc.integer({ min: 0, max: 6 }),
    fc.uint8Array({ maxLength: 40 }),
  );
  fc.assert(
    fc.property(fc.array(frame, { maxLength: 30 }), (frames) => {
      for (const role of ['client', 'server'] as const) {
        const end = testEnd(role);
        end.connection.receive(Buffer.concat([role === 'server' ? PREFACE : Buffer.alloc(0), SETTINGS_FRAME]));
        for (const [type, flags, streamId, payload] of frames) end.connection.receive(rawFrame(type, flags, streamId, payload));
        assert.ok(end.events.length > 0);
      }
    }),
    { numRuns: 300 },
  );
});
