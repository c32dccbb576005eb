import { Http2Connection } from './connection.ts';
import { FRAME, FRAME_HEADER_BYTES } from './constants.ts';
import type { Http2Events } from './events.ts';
import type { Header } from './field.ts';
import { TUNNEL_FLOODS } from './flood-guard.ts';
import { FrameReader } from './frame-reader.ts';
import type { StreamHandler } from './roles.ts';
import type { Http2Settings } from './settings.ts';
import type { Http2Stream } from './stream.ts';

/** Small limits, so that tests reach them. */
export const SETTINGS: Http2Settings = {
  streamWindowBytes: 100_000,
  connectionWindowBytes: 250_000,
  frameBytesMax: 40_000,
  concurrentStreamsMax: 3,
  headerListBytesMax: 2_000,
};

/** A frame as a test looks at it. */
export type SeenFrame = { type: number; flags: number; streamId: number; payload: Buffer };

/** Cuts written bytes into frames. */
export function framesOf(bytes: Buffer, preface: boolean): SeenFrame[] {
  const frames: SeenFrame[] = [];
  const sink = {
    data: (streamId: number, buffer: Buffer, start: number, end: number, _flowBytes: number, ended: boolean) =>
      frames.push({ type: FRAME.data, flags: ended ? 1 : 0, streamId, payload: Buffer.from(buffer.subarray(start, end)) }),
    frame: (type: number, flags: number, streamId: number, payload: Buffer) =>
      frames.push({ type, flags, streamId, payload: Buffer.from(payload) }),
  };
  new FrameReader(sink, 0xff_ffff, preface).receive(bytes);
  return frames;
}

/** A frame of any kind, by hand. */
export function rawFrame(type: number, flags: number, streamId: number, payload: Uint8Array = Buffer.alloc(0)): Buffer {
  const header = Buffer.alloc(FRAME_HEADER_BYTES);
  header.writeUIntBE(payload.length, 0, 3);
  header.writeUInt8(type, 3);
  header.writeUInt8(flags, 4);
  header.writeUInt32BE(streamId, 5);
  return Buffer.concat([header, payload]);
}

/** What a stream was told. */
export type StreamLog = StreamHandler & {
  stream: Http2Stream | null;
  headers: readonly Header[];
  received: Buffer;
  events: string[];
  autoTake: boolean;
};

/** A handler that writes down what it is told. */
export function streamLog(): StreamLog {
  const log: StreamLog = {
    stream: null,
    headers: [],
    received: Buffer.alloc(0),
    events: [],
    autoTake: true,
    response: (headers, ended) =>
      void log.events.push(`response ${JSON.stringify(headers?.map(([name, value]) => [name, value]))}${ended ? ' ended' : ''}`),
    data: (buffer, start, end) => {
      log.received = Buffer.concat([log.received, buffer.subarray(start, end)]);
      if (log.autoTake) log.stream?.giveBack(end - start);
    },
    end: () => void log.events.push('end'),
    reset: (errorCode, unprocessed) => void log.events.push(`reset ${errorCode}${unprocessed ? ' unprocessed' : ''}`),
    writable: () => void log.events.push('writable'),
  };
  return log;
}

/** One side of a connection, with everything it writes and is told. */
export type TestEnd = {
  connection: Http2Connection;
  /** Written and not taken yet. */
  written: Buffer;
  take(): Buffer;
  events: string[];
  streams: StreamLog[];
  writable: boolean;
};

/** One side of a connection, with everything it writes and is told. */
export function testEnd(
  role: 'client' | 'server',
  settings: Partial<Http2Settings> = {},
  nowMs: () => number = () => 0,
): TestEnd {
  const events: Http2Events = {
    ready: () => void end.events.push('ready'),
    request: (stream, headers) => {
      const log = streamLog();
      Object.assign(log, { stream, headers: headers.map(([name, value]) => [name, value]) });
      end.streams.push(log);
      return log;
    },
    goaway: (errorCode) => void end.events.push(`goaway ${errorCode}`),
    pong: () => void end.events.push('pong'),
    streamClosed: () => void end.events.push('closed'),
    failed: (error) => void end.events.push(`failed ${error.http2Code} ${error.message}`),
  };
  const end: Omit<TestEnd, 'connection'> = {
    written: Buffer.alloc(0),
    take: () => {
      const bytes = end.written;
      end.written = Buffer.alloc(0);
      return bytes;
    },
    events: [],
    streams: [],
    writable: true,
  };
  const transport = {
    // Copies, as a transport must: the caller overwrites its buffers.
    write: (buffer: Buffer, from: number, to: number) => {
      end.written = Buffer.concat([end.written, buffer.subarray(from, to)]);
    },
    writable: () => end.writable,
  };
  const connection = new Http2Connection({
    role,
    settings: { ...SETTINGS, ...settings },
    transport,
    events,
    nowMs,
    floods: TUNNEL_FLOODS,
  });
  return Object.assign(end, { connection });
}

/** Carries bytes between two ends, in pieces of the given sizes, until both are silent. */
export function exchange(client: TestEnd, server: TestEnd, pieceBytes: () => number = () => 1_000_000): void {
  for (let quiet = false; !quiet; ) {
    quiet = true;
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      const bytes = from.take();
      for (let at = 0; at < bytes.length; ) {
        quiet = false;
        const length = Math.max(1, pieceBytes());
        // A copy that is spoiled afterwards: nobody may keep the chunk.
        const chunk = Buffer.from(bytes.subarray(at, at + length));
        to.connection.receive(chunk);
        chunk.fill(0xee);
        at += length;
      }
    }
  }
}

/** A client and a server that have exchanged their settings. */
export function connectedPair(serverSettings: Partial<Http2Settings> = {}): { client: TestEnd; server: TestEnd } {
  const client = testEnd('client');
  const server = testEnd('server', serverSettings);
  exchange(client, server);
  return { client, server };
}

/** Opens a stream on the client; both ends' logs. */
export function openStream(client: TestEnd, server: TestEnd): { near: StreamLog; far: StreamLog } {
  const near = streamLog();
  near.stream = client.connection.open(
    [
      [':method', 'CONNECT'],
      [':authority', 'a:1'],
    ],
    near,
  );
  exchange(client, server);
  const far = server.streams.at(-1);
  if (far === undefined) throw new Error('the stream did not arrive');
  return { near, far };
}

/** Sends bytes the way relays do: out of a buffer with room in front. */
export function send(log: StreamLog, bytes: Buffer): boolean {
  const buffer = Buffer.concat([Buffer.alloc(FRAME_HEADER_BYTES), bytes]);
  const more = log.stream?.send(buffer, FRAME_HEADER_BYTES, buffer.length) ?? false;
  buffer.fill(0xdd);
  return more;
}
