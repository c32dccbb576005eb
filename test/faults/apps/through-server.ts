/**
 * Serves HTTP/1.1 on port 7000 and gRPC on 7003. HTTP: `/slow` takes 200 ms; a request that expects 100 is told to go on after 200 ms,
 * or refused with 417 when its path is `/refuse`; the answer says when it was told. Lines say when a `flow` was cancelled.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import grpc from '@grpc/grpc-js';
import { THROUGH_SERVICE } from './through-service.ts';

const PAUSE_MS = 200;
const PIECE = Buffer.alloc(65_536);

const web = createServer((request, response) => {
  request.resume();
  setTimeout(() => response.end('ok'), request.url === '/slow' ? PAUSE_MS : 0);
});
web.keepAliveTimeout = 60_000;
web.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
  if (request.url === '/refuse') return void response.writeHead(417, { connection: 'close' }).end();
  setTimeout(() => {
    const toldAt = Date.now();
    response.writeContinue();
    request.once('data', () => response.end(JSON.stringify({ toldAt, bodyAt: Date.now() }))).resume();
  }, PAUSE_MS);
});

const NAMES = ['twice', 'twice-bin'];
const called = new grpc.Server();
called.addService(THROUGH_SERVICE, {
  repeat(call: grpc.ServerUnaryCall<Buffer, Buffer>, answer: grpc.sendUnaryData<Buffer>) {
    const [head, trailers] = [new grpc.Metadata(), new grpc.Metadata()];
    for (const name of NAMES)
      for (const value of call.metadata.get(name)) {
        head.add(name, value);
        trailers.add(name, value);
      }
    call.sendMetadata(head);
    answer(null, call.request, trailers);
  },
  flow(call: grpc.ServerWritableStream<Buffer, Buffer>) {
    const id = call.request.toString();
    const push = (): void => {
      while (!call.cancelled && call.write(PIECE));
    };
    call.on('drain', push).on('cancelled', () => console.log(JSON.stringify({ cancelled: id })));
    push();
  },
});

await new Promise<void>((resolve) => web.listen(7000, '::', resolve));
await new Promise<void>((resolve, reject) =>
  called.bindAsync('[::]:7003', grpc.ServerCredentials.createInsecure(), (error) => (error === null ? resolve() : reject(error))),
);
console.log(JSON.stringify({ event: 'listening', pid: process.pid }));
