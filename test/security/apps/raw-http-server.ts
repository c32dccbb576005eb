/**
 * An app whose answers break the rules, by the first part of the path: HTTP/2 by hand on port 7000, HTTP/1 on port 7001.
 * `/whole/…` is answered as it should be, with what was heard of the request.
 */
import { createServer, type Socket } from 'node:net';
import { END_STREAM, FRAME_TYPE, type Frame, frameBytes, framesIn, settingsAndAck } from '#platform/http2/frames.testing.ts';
import type { Header } from '#protocol/http/v2/field.ts';
import { HpackDecoder } from '#protocol/http/v2/hpack-decoder.ts';
import { encodeHeaders } from '#protocol/http/v2/hpack-encoder.ts';

const END_HEADERS = 4;
const NO_ERROR = Buffer.alloc(4);
const PREFACE_BYTES = 24;
const LAST_MS = 50;
const OK: Header = [':status', '200'];
const ANNOUNCED: Header = ['content-length', '100'];
/** An answer of its own after an answer: whoever takes it takes another's. */
const UNASKED = 'HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\nunasked';

/** A request of HTTP/2 as far as it has come. */
type Heard = { path: string; body: string; trailers: readonly Header[] };

const kindOf = (path: string): string => path.split('/')[1] ?? '';

function answer2(stream: number, heard: Heard): Frame[] {
  const head = (headers: readonly Header[], flags = 0): Frame => {
    return { type: FRAME_TYPE.headers, flags: END_HEADERS | flags, stream, payload: encodeHeaders(headers) };
  };
  const data = (text: string, flags = 0): Frame => ({
    type: FRAME_TYPE.data,
    flags,
    stream,
    payload: Buffer.from(text, 'latin1'),
  });
  const reset: Frame = { type: FRAME_TYPE.rstStream, flags: 0, stream, payload: NO_ERROR };
  const kinds: Readonly<Record<string, Frame[]>> = {
    reset: [head([OK]), data('part'), reset],
    'reset-announced': [head([OK, ANNOUNCED]), data('part'), reset],
    'end-announced': [head([OK, ANNOUNCED]), data('part', END_STREAM)],
    'head-announced': [head([OK, ANNOUNCED], END_STREAM)],
    'more-announced': [head([OK, ['content-length', '2']]), data('part', END_STREAM)],
    trailers: [
      head([OK]),
      data('part'),
      head(
        [
          ['http2-settings', 'x'],
          ['host', 'x'],
          ['good', 'yes'],
        ],
        END_STREAM,
      ),
    ],
    'forbidden-trailers': [head([OK]), data('part'), head([['connection', 'close']], END_STREAM)],
  };
  return kinds[kindOf(heard.path)] ?? [head([OK]), data(JSON.stringify(heard), END_STREAM)];
}

function serve2(socket: Socket): void {
  const decoder = new HpackDecoder(65_536);
  const requests = new Map<number, Heard>();
  let bytes: Buffer = Buffer.alloc(0);
  let greeted = false;
  const onFrame = ({ type, flags, stream, payload }: Frame): void => {
    if (type !== FRAME_TYPE.headers && type !== FRAME_TYPE.data) return;
    const known = requests.get(stream);
    const heard = known ?? { path: '', body: '', trailers: [] };
    requests.set(stream, heard);
    if (type === FRAME_TYPE.data) heard.body += payload.toString('latin1');
    else if (known !== undefined) heard.trailers = (decoder.decode(payload) ?? []).map(([name, value]): Header => [name, value]);
    else heard.path = (decoder.decode(payload) ?? []).find(([name]) => name === ':path')?.[1] ?? '';
    if ((flags & END_STREAM) === 0) return;
    const frames = answer2(stream, heard).map(frameBytes);
    // The last one by itself: what came before it has reached the client by then.
    socket.write(Buffer.concat(frames.slice(0, -1)));
    setTimeout(() => socket.write(frames.at(-1) ?? ''), LAST_MS);
  };
  socket.on('data', (chunk: Buffer) => {
    bytes = Buffer.concat([bytes, chunk]);
    if (!greeted) {
      if (bytes.length < PREFACE_BYTES) return;
      bytes = bytes.subarray(PREFACE_BYTES);
      greeted = true;
      socket.write(settingsAndAck());
    }
    for (const frame of framesIn(bytes, false)) {
      bytes = bytes.subarray(9 + frame.payload.length);
      onFrame(frame);
    }
  });
}

function answer1(socket: Socket, path: string): void {
  const whole = `HTTP/1.1 200 OK\r\ncontent-length: ${path.length}\r\n\r\n${path}`;
  switch (kindOf(path)) {
    case 'end-announced':
      return void socket.end('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\npart');
    case 'end-chunked':
      return void socket.end('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\npart\r\n');
    case 'unasked':
      return void socket.write(`HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\npart${UNASKED}`);
    case 'unasked-later':
      socket.write(whole);
      return void setTimeout(() => socket.write(UNASKED), 20);
    default:
      return void socket.write(whole);
  }
}

function serve1(socket: Socket): void {
  let text = '';
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1');
    const path = /^GET (\S+) [\s\S]*?\r\n\r\n$/.exec(text)?.[1];
    if (path === undefined) return;
    text = '';
    answer1(socket, path);
  });
}

for (const [port, serve] of [
  [7001, serve1],
  [7000, serve2],
] as const)
  createServer((socket) => {
    socket.on('error', () => {}); // the other side may end it when it likes
    serve(socket);
  }).listen(port, '::', () => {
    if (port === 7000) console.log(JSON.stringify({ event: 'listening', pid: process.pid }));
  });
