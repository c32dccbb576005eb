import assert from 'node:assert/strict';
import { duplexPair } from 'node:stream';
import test from 'node:test';
import { asStream } from '#platform/io/node/as-stream.testing.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import { StringHeaders } from '#protocol/http/header-block.ts';
import type { ClientEvents, Http2Engine, RequestHead, ServerStream } from '#protocol/http/message.ts';
import { END_STREAM, FRAME_TYPE, type Frame, frameBytes, framesIn, STATUS_200, settingsAndAck } from './frames.testing.ts';
import { nodeHttp2 } from './node-http2.testing.ts';
import { ownHttp2 } from './own-http2.testing.ts';

/** Ours, and the one that is its oracle. */
const ENGINES: readonly [name: string, engine: () => Http2Engine][] = [
  ['own', () => ownHttp2(new SteppedClock())],
  ['node', () => nodeHttp2],
];

const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 30; turn++) await new Promise((resolve) => setImmediate(resolve));
};

const POST: RequestHead = {
  version: 'http2',
  method: 'POST',
  target: '/',
  authority: 'a',
  headers: new StringHeaders([]),
  hasBody: true,
  contentLength: null,
  upgrade: null,
};

function eventsInto(log: string[]): ClientEvents {
  return {
    onInform: ({ status }) => log.push(`inform ${status}`),
    onResponse: ({ status }, end) => log.push(`response ${status}${end ? ' end' : ''}`),
    onResponseBody: (data) => log.push(`body ${data}`) > 0,
    onResponseEnd: () => log.push('end'),
    onUpgrade: () => log.push('upgrade'),
    onFailure: ({ kind, unprocessed }) => log.push(`failure ${kind}${unprocessed ? ' unprocessed' : ''}`),
    onUpstreamWritable() {},
    onResponseTurnEnd() {},
  };
}

/** A client connection whose peer is played by the test: frames in, frames out. */
function clientRig(engine: Http2Engine): {
  send(head: RequestHead, end: boolean): { stream: ReturnType<ReturnType<typeof nodeHttp2.connect>['send']>; log: string[] };
  frames(): Frame[];
  answer(...frames: Frame[]): void;
  hangUp(): void;
} {
  const [near, far] = duplexPair();
  let wire = Buffer.alloc(0);
  far.on('data', (data: Buffer) => {
    wire = Buffer.concat([wire, data]);
  });
  const connection = engine.connect(asStream(near), { onIdle() {}, onEnding() {}, onClosed() {}, onMistake: assert.ifError });
  far.write(settingsAndAck());
  return {
    send(head, end) {
      const log: string[] = [];
      return { stream: connection.send(head, end, eventsInto(log)), log };
    },
    frames: () => framesIn(wire, true).filter(({ stream }) => stream > 0),
    answer: (...frames) => far.write(Buffer.concat(frames.map(frameBytes))),
    hangUp: () => far.end(),
  };
}

function rst(code: number): Frame {
  return { type: FRAME_TYPE.rstStream, flags: 0, stream: 1, payload: Buffer.from([0, 0, 0, code]) };
}

const OK: Frame = { type: FRAME_TYPE.headers, flags: 4, stream: 1, payload: STATUS_200 };
const data = (text: string, flags = 0): Frame => ({ type: FRAME_TYPE.data, flags, stream: 1, payload: Buffer.from(text) });

function both(name: string, check: (engine: Http2Engine) => Promise<void>): void {
  for (const [which, engine] of ENGINES) test(`${name} (${which})`, () => check(engine()));
}

both('http2 client: a request that is given up is reset and never ended', async (engine) => {
  const { send, frames } = clientRig(engine);
  const { stream } = send(POST, false);
  await settle();
  stream.write(Buffer.from('part'));
  stream.flush();
  await settle();
  stream.abort();
  await settle();
  assert.deepEqual(
    frames().map(({ type, flags }) => [type, flags & END_STREAM]),
    [
      [FRAME_TYPE.headers, 0],
      [FRAME_TYPE.data, 0],
      [FRAME_TYPE.rstStream, 0],
    ],
  );
});

const ANSWERS: { name: string; frames: Frame[]; want: string[] }[] = [
  { name: 'a whole response', frames: [OK, data('hi', END_STREAM)], want: ['response 200', 'body hi', 'end'] },
  { name: 'a response without body', frames: [{ ...OK, flags: 5 }], want: ['response 200 end', 'end'] },
  {
    name: 'W78 a whole response, then a reset without error',
    frames: [OK, data('hi', END_STREAM), rst(0)],
    want: ['response 200', 'body hi', 'end'],
  },
  { name: 'a reset before the response', frames: [rst(2)], want: ['failure remote-reset'] },
  { name: 'a refused stream can be tried again', frames: [rst(7)], want: ['failure remote-reset unprocessed'] },
  {
    name: 'a reset within the response is no end',
    frames: [OK, data('hi'), rst(2)],
    want: ['response 200', 'body hi', 'failure remote-reset'],
  },
  {
    name: 'a cancelled response is no end',
    frames: [OK, data('hi'), rst(8)],
    want: ['response 200', 'body hi', 'failure closed'],
  },
];

for (const { name, frames, want } of ANSWERS) {
  both(`http2 client: ${name}`, async (engine) => {
    const rig = clientRig(engine);
    const { stream, log } = rig.send(POST, false);
    stream.end(null);
    await settle();
    for (const frame of frames) {
      rig.answer(frame);
      await settle();
    }
    assert.deepEqual(log, want);
  });
}

both('http2 client: a connection that is lost within the response is a failure', async (engine) => {
  const rig = clientRig(engine);
  const { stream, log } = rig.send(POST, false);
  stream.end(null);
  await settle();
  rig.answer(OK, data('hi'));
  await settle();
  rig.hangUp();
  await settle();
  assert.deepEqual(log.slice(0, 2), ['response 200', 'body hi']);
  assert.match(log[2] ?? '', /^failure /);
});

/** A server connection whose client is played by the test. */
async function serverRig(
  engine: Http2Engine,
  request: Frame[],
): Promise<{ streams: ServerStream[]; log: string[]; frames(): Frame[]; send(...frames: Frame[]): Promise<void> }> {
  const [near, far] = duplexPair();
  let wire = Buffer.alloc(0);
  far.on('data', (chunk: Buffer) => {
    wire = Buffer.concat([wire, chunk]);
  });
  const streams: ServerStream[] = [];
  const log: string[] = [];
  engine.accept(
    asStream(near),
    {
      pathNormalization: 'BASE',
      onProblem: ({ details }) => log.push(details),
      onMistake: (error) => log.push(String(error)),
      onRequest(_head, stream) {
        streams.push(stream);
        return {
          onBody: (chunk) => log.push(`body ${chunk}`) > 0,
          onBodyEnd: () => log.push('end'),
          onGone: (why) => log.push(`gone ${why}`),
          onDownstreamWritable() {},
          onRequestTurnEnd() {},
        };
      },
    },
    null,
  );
  const send = async (...frames: Frame[]): Promise<void> => {
    far.write(Buffer.concat(frames.map(frameBytes)));
    await settle();
  };
  far.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
  far.write(settingsAndAck());
  await send(...request);
  return { streams, log, frames: () => framesIn(wire, false).filter(({ stream }) => stream > 0), send };
}

/** POST / of http://a, in literals and static entries. */
const REQUEST: Frame = {
  type: FRAME_TYPE.headers,
  flags: 4,
  stream: 1,
  payload: Buffer.from([0x83, 0x86, 0x84, 0x01, 0x01, 0x61]),
};

both('http2 server: a response that breaks off is reset and never ended', async (engine) => {
  const { streams, frames } = await serverRig(engine, [{ ...REQUEST, flags: 5 }]);
  const [stream] = streams;
  stream?.respond({ status: 200, headers: new StringHeaders([]), contentLength: null }, false);
  stream?.write(Buffer.from('part'));
  stream?.flush();
  await settle();
  stream?.reset();
  await settle();
  assert.deepEqual(
    frames().map(({ type, flags }) => [type, flags & END_STREAM]),
    [
      [FRAME_TYPE.headers, 0],
      [FRAME_TYPE.data, 0],
      [FRAME_TYPE.rstStream, 0],
    ],
  );
});

both('http2 server: a request that is reset is gone, not ended', async (engine) => {
  const { streams, log, send } = await serverRig(engine, [REQUEST]);
  streams[0]?.startBody();
  await send(data('part'));
  await send(rst(8));
  assert.deepEqual(log, ['body part', 'gone reset']);
});

both('http2 server: an empty body that ended before it was wanted still ends', async (engine) => {
  const { streams, log } = await serverRig(engine, [REQUEST, data('', END_STREAM)]);
  streams[0]?.startBody();
  await settle();
  assert.deepEqual(log, ['end']);
});
