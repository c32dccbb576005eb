/**
 * Serves HTTP/1.1 with WebSockets on port 7000, HTTP/2 on 7001, gRPC on 7002. Argument: the name that its answers have. An answer has
 * the bytes that the query asks for, and tells what came: the path, whether the body was right, and the header that the route sets.
 */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage } from 'node:http';
import http2 from 'node:http2';
import type { Duplex, Writable } from 'node:stream';
import grpc from '@grpc/grpc-js';
import { FrameReader, frameBytes, OPCODE } from './frames.ts';
import { MIXED } from './service.ts';
import { bytesOf, SERVICES } from './versions.ts';

const [name = ''] = process.argv.slice(2);

type Response = Writable & { writeHead(status: number, headers: Record<string, string>): unknown };

function answer(
  request: { url?: string | undefined; headers: http2.IncomingHttpHeaders } & AsyncIterable<Buffer>,
  response: Response,
): void {
  const url = new URL(request.url ?? '', 'http://a');
  const [seed, up, down, ms] = ['seed', 'up', 'down', 'ms'].map((one) => Number(url.searchParams.get(one))) as [
    number,
    number,
    number,
    number,
  ];
  const whole = async (): Promise<void> => {
    const pieces: Buffer[] = [];
    for await (const piece of request) pieces.push(piece);
    const isRight = Buffer.concat(pieces).equals(bytesOf(seed + 1, up));
    const headers = { 'x-server': name, 'x-path': url.pathname, 'x-internal': 'yes', 'x-body': isRight ? 'right' : 'wrong' };
    response.writeHead(200, { ...headers, 'x-seen': String(request.headers['x-asked']), 'content-length': `${down}` });
    const body = bytesOf(seed, down);
    if (ms === 0) return void response.end(body);
    response.write(body.subarray(0, down >> 1));
    setTimeout(() => response.end(body.subarray(down >> 1)), ms);
  };
  whole().catch(() => response.destroy()); // the client has left
}

/** Sends every message back, and a close. */
function echoFrames(stream: Duplex, head: Buffer): void {
  const reader = new FrameReader();
  const take = (bytes: Buffer): void => {
    for (const frame of reader.take(bytes)) {
      stream.write(frameBytes(frame, false));
      if (frame.opcode === OPCODE.close) stream.end();
    }
  };
  stream
    .on('data', take)
    .on('end', () => stream.end())
    .on('error', () => {}); // a client that was cut off
  take(head);
}

const web = createServer((request, response) => answer(request, response));
web.keepAliveTimeout = 0; // it is never this side that closes
web.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
  const accept = createHash('sha1').update(`${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`);
  const lines = ['Connection: Upgrade', 'Upgrade: websocket', `Sec-WebSocket-Accept: ${accept.digest('base64')}`];
  socket.write(
    `HTTP/1.1 101 Switching\r\n${lines.join('\r\n')}\r\nX-Internal: yes\r\nX-Seen: ${request.headers['x-asked']}\r\n\r\n`,
  );
  echoFrames(socket, head);
});

const web2 = http2.createServer((request, response) => answer(request, response));

const calls = new grpc.Server();
const seenIn = (metadata: grpc.Metadata): grpc.Metadata => {
  const told = new grpc.Metadata();
  told.set('x-seen', String(metadata.get('x-asked')[0]));
  return told;
};
const once = (call: grpc.ServerUnaryCall<Buffer, Buffer>, done: grpc.sendUnaryData<Buffer>): void =>
  done(null, call.request, seenIn(call.metadata));
calls.addService(MIXED, {
  ...{ Echo: once, Secret: once, Broken: once },
  Fail(call: grpc.ServerUnaryCall<Buffer, Buffer>, done: grpc.sendUnaryData<Buffer>) {
    done({ code: grpc.status.FAILED_PRECONDITION, details: call.request.toString('hex'), metadata: seenIn(call.metadata) });
  },
  Talk(call: grpc.ServerDuplexStream<Buffer, Buffer>) {
    call
      .on('data', (bytes: Buffer) => call.write(bytes))
      .on('end', () => call.end(seenIn(call.metadata)))
      .on('error', () => {}); // a client that was cut off
  },
});

await new Promise<void>((resolve) => web.listen(SERVICES.web.targetPort, '::', resolve));
await new Promise<void>((resolve) => web2.listen(SERVICES.web2.targetPort, '::', resolve));
await new Promise<void>((resolve, reject) =>
  calls.bindAsync(`[::]:${SERVICES.calls.targetPort}`, grpc.ServerCredentials.createInsecure(), (error) =>
    error === null ? resolve() : reject(error),
  ),
);
console.log(JSON.stringify({ event: 'listening', pid: process.pid }));
