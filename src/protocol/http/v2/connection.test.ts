import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ERROR_CODE, FLAG, FRAME, PREFACE, SETTING } from './constants.ts';
import { encodeHeaders } from './hpack-encoder.ts';
import { connectedPair, exchange, framesOf, openStream, rawFrame, SETTINGS, send, testEnd } from './wire.testing.ts';

const pattern = (bytes: number) => Buffer.from(Uint8Array.from({ length: bytes }, (_, at) => (at * 31) & 0xff));
const CONNECT = encodeHeaders([
  [':method', 'CONNECT'],
  [':authority', 'a:1'],
]);

test('both sides begin with their settings and the wider connection window', () => {
  const client = testEnd('client').take();
  assert.deepEqual(client.subarray(0, PREFACE.length), PREFACE);
  const [settings, window] = framesOf(testEnd('server').take(), false);
  const pairs = Array.from({ length: (settings?.payload.length ?? 0) / 6 }, (_, at) => [
    settings?.payload.readUInt16BE(at * 6),
    settings?.payload.readUInt32BE(at * 6 + 2),
  ]);
  assert.deepEqual(pairs, [
    [SETTING.concurrentStreamsMax, 3],
    [SETTING.initialWindowBytes, 100_000],
    [SETTING.frameBytesMax, 40_000],
    [SETTING.headerListBytesMax, 2_000],
  ]);
  assert.equal(window?.payload.readUInt32BE(0), SETTINGS.connectionWindowBytes - 65_535);
});

test('bytes cross unchanged however they are cut, and windows are given back', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 120_000 }), { maxLength: 5 }),
      fc.integer({ min: 700, max: 70_000 }),
      (sizes, piece) => {
        const { client, server } = connectedPair();
        const { near, far } = openStream(client, server);
        const sent: Buffer[] = [];
        for (const size of sizes) {
          const bytes = pattern(size);
          sent.push(bytes);
          send(near, bytes);
          exchange(client, server, () => piece);
        }
        near.stream?.end(() => {});
        exchange(client, server, () => piece);
        assert.deepEqual(far.received, Buffer.concat(sent));
        assert.deepEqual(far.events.at(-1), 'end');
      },
    ),
    { numRuns: 25 },
  );
});

test('bytes may arrive one at a time', () => {
  const { client, server } = connectedPair();
  const { near, far } = openStream(client, server);
  send(near, pattern(700));
  send(near, pattern(3));
  near.stream?.end(() => {});
  exchange(client, server, () => 1);
  assert.deepEqual([far.received, far.events], [Buffer.concat([pattern(700), pattern(3)]), ['end']]);
});

test('a sender stays within stream window, connection window and frame size', () => {
  const { client, server } = connectedPair();
  const streams = [openStream(client, server), openStream(client, server), openStream(client, server)];
  for (const { near, far } of streams) {
    far.autoTake = false;
    assert.equal(send(near, pattern(150_000)), false);
  }
  const frames = framesOf(client.take(), false);
  assert.ok(frames.every(({ payload }) => payload.length <= SETTINGS.frameBytesMax));
  const perStream = streams.map(({ near }) =>
    frames.filter(({ streamId }) => streamId === near.stream?.id).reduce((sum, { payload }) => sum + payload.length, 0),
  );
  assert.deepEqual(perStream, [100_000, 100_000, 50_000]);
});

test('a stalled stream goes on when its reader has taken half a window', () => {
  const { client, server } = connectedPair();
  const { near, far } = openStream(client, server);
  far.autoTake = false;
  send(near, pattern(150_000));
  exchange(client, server);
  assert.equal(far.received.length, 100_000);
  far.stream?.giveBack(49_999);
  exchange(client, server);
  assert.equal(far.received.length, 100_000);
  far.stream?.giveBack(1);
  exchange(client, server);
  assert.deepEqual(far.received, pattern(150_000));
  assert.equal(near.events.at(-1), 'writable');
});

test('senders wait while the transport is busy and go on in turn', () => {
  const { client, server } = connectedPair();
  const [a, b] = [openStream(client, server), openStream(client, server)];
  client.writable = false;
  assert.equal(send(a.near, pattern(10)), false);
  assert.equal(send(b.near, pattern(20)), false);
  assert.equal(client.take().length, 0);
  client.writable = true;
  client.connection.drained();
  exchange(client, server);
  assert.deepEqual([a.far.received.length, b.far.received.length], [10, 20]);
  assert.deepEqual([a.near.events, b.near.events], [['writable'], ['writable']]);
});

test('an end waits for the bytes before it, and closes the stream when both sides have ended', () => {
  const { client, server } = connectedPair();
  const { near, far } = openStream(client, server);
  far.stream?.sendHeaders([[':status', '200']], false);
  client.writable = false;
  send(near, pattern(10));
  let done = false;
  near.stream?.end(() => {
    done = true;
  });
  assert.equal(done, false);
  client.writable = true;
  client.connection.drained();
  assert.equal(done, true);
  exchange(client, server);
  assert.deepEqual([far.received.length, far.events], [10, ['end']]);
  assert.equal(client.connection.streams, 1);
  far.stream?.end(() => {});
  exchange(client, server);
  assert.deepEqual(near.events, ['response [[":status","200"]]', 'end']);
  assert.deepEqual([client.connection.streams, server.connection.streams], [0, 0]);
});

test('a reset drops what waits, tells the other side, and gives the connection window back', () => {
  const { client, server } = connectedPair();
  for (let round = 0; round < 10; round++) {
    const { near, far } = openStream(client, server);
    far.autoTake = false;
    send(near, pattern(150_000));
    exchange(client, server);
    near.stream?.reset(ERROR_CODE.cancel);
    exchange(client, server);
    assert.deepEqual(far.events, ['reset 8']);
    assert.equal(far.received.length, 100_000);
  }
  assert.deepEqual([client.connection.streams, server.connection.streams], [0, 0]);
});

test('streams over the limit are refused as unprocessed', () => {
  const { client, server } = connectedPair();
  const streams = [
    openStream(client, server),
    openStream(client, server),
    openStream(client, server),
    openStream(client, server),
  ];
  assert.deepEqual(
    streams.map(({ near }) => near.events),
    [[], [], [], ['reset 7 unprocessed']],
  );
  assert.equal(client.connection.peer.concurrentStreamsMax, 3);
});

test('GOAWAY fails what it does not cover, as unprocessed; a final one refuses later streams', () => {
  const { client, server } = connectedPair();
  const first = openStream(client, server);
  server.connection.goaway(ERROR_CODE.noError, 'soft', false);
  exchange(client, server);
  assert.deepEqual(client.events, ['ready', 'goaway 0']);
  assert.deepEqual(first.near.events, []);
  server.connection.goaway(ERROR_CODE.noError, 'final', true);
  const late = openStream(client, server);
  assert.deepEqual(late.near.events, ['reset 7 unprocessed']);
  assert.deepEqual(first.near.events, []);
});

test('a lost transport resets every stream once', () => {
  const { client, server } = connectedPair();
  const { near } = openStream(client, server);
  client.connection.lost();
  client.connection.lost();
  assert.deepEqual(near.events, ['reset 10']);
  assert.equal(client.connection.open([], near), null);
});

test('PING is answered, and its answer is told', () => {
  const { client, server } = connectedPair();
  client.connection.ping(Buffer.from('12345678'));
  exchange(client, server);
  assert.deepEqual(client.events, ['ready', 'pong']);
});

test('smaller and larger initial windows apply to open streams', () => {
  const { client, server } = connectedPair();
  const { near, far } = openStream(client, server);
  far.autoTake = false;
  const windowOf = (bytes: number) => {
    const payload = Buffer.alloc(6);
    payload.writeUInt16BE(SETTING.initialWindowBytes, 0);
    payload.writeUInt32BE(bytes, 2);
    return rawFrame(FRAME.settings, 0, 0, payload);
  };
  send(near, pattern(60_000));
  client.connection.receive(windowOf(50_000));
  assert.equal(send(near, pattern(10)), false);
  exchange(client, server);
  assert.equal(far.received.length, 60_000);
  client.connection.receive(windowOf(60_004));
  exchange(client, server);
  assert.equal(far.received.length, 60_004);
});

test('padding, priorities and unknown frames change nothing; padding counts for the windows', () => {
  const { server } = connectedPair();
  const padded = Buffer.concat([Buffer.from([4]), CONNECT, Buffer.alloc(4)]);
  const withPriority = Buffer.concat([Buffer.alloc(5), CONNECT]);
  server.connection.receive(rawFrame(FRAME.headers, FLAG.endHeaders | FLAG.padded, 1, padded));
  server.connection.receive(rawFrame(FRAME.headers, FLAG.endHeaders | FLAG.priority, 3, withPriority));
  server.connection.receive(rawFrame(0x55, 0xff, 3, Buffer.alloc(300)));
  server.connection.receive(rawFrame(FRAME.priority, 0, 3, Buffer.alloc(5)));
  const data = rawFrame(
    FRAME.data,
    FLAG.padded | FLAG.endStream,
    1,
    Buffer.concat([Buffer.from([200]), pattern(10), Buffer.alloc(200)]),
  );
  for (const byte of data) server.connection.receive(Buffer.from([byte]));
  const [first, second] = server.streams;
  assert.deepEqual(
    [first?.headers, second?.headers],
    [
      [
        [':method', 'CONNECT'],
        [':authority', 'a:1'],
      ],
      first?.headers,
    ],
  );
  assert.deepEqual([first?.received, first?.events], [pattern(10), ['end']]);
});

test('a header block larger than a frame is sent and read in pieces', () => {
  const client = testEnd('client');
  const server = testEnd('server', { headerListBytesMax: 60_000 });
  exchange(client, server);
  const long = 'x'.repeat(50_000);
  client.connection.open(
    [
      [':method', 'CONNECT'],
      [':authority', long],
    ],
    server.streams[0] ?? connectedLog(),
  );
  exchange(client, server);
  assert.equal(server.streams[0]?.headers[1]?.[1], long);
});

function connectedLog() {
  const { client, server } = connectedPair();
  return openStream(client, server).near;
}
