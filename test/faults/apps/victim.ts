/**
 * Serves HTTP/1.1 on port 7000, HTTP/2 on 7001, an echo on 7002 and gRPC on 7003, and says the id of each request that it
 * executes. On standard input: `reset` ends with RST everywhere, `finish` with FIN; anything else that ends it comes from outside.
 */
import { createServer as http1 } from 'node:http';
import { createServer as http2 } from 'node:http2';
import { type Server, type Socket, createServer as tcp } from 'node:net';
import { createInterface } from 'node:readline';
import grpc from '@grpc/grpc-js';
import { KILLED_SERVICE } from './killed-service.ts';

const PAUSE_MS = 20;
const sockets = new Set<Socket>();

function executed(id: string): void {
  process.stdout.write(`${JSON.stringify({ executed: id })}\n`);
}

const web = http1((request, response) => {
  executed(String(request.headers['x-id']));
  setTimeout(() => response.end('ok'), PAUSE_MS);
});
const plain2 = http2();
plain2.on('stream', (stream, headers) => {
  stream.on('error', () => {});
  executed(String(headers['x-id']));
  setTimeout(() => {
    if (stream.destroyed) return;
    stream.respond({ ':status': 200 });
    stream.end('ok');
  }, PAUSE_MS);
});
const echo = tcp((socket) => socket.on('data', (data) => setTimeout(() => socket.write(data), PAUSE_MS)));

// Its server has no way to end its connections by RST: it takes those that this one accepts.
const called = new grpc.Server();
called.addService(KILLED_SERVICE, {
  say(call: grpc.ServerUnaryCall<string, string>, answer: grpc.sendUnaryData<string>) {
    executed(call.request);
    setTimeout(() => answer(null, 'ok'), PAUSE_MS);
  },
  async tell(call: grpc.ServerWritableStream<string, string>) {
    executed(call.request);
    for (let at = 0; at < 3; at++) {
      call.write(String(at));
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
    call.end();
  },
});
const injector = called.createConnectionInjector(grpc.ServerCredentials.createInsecure());
const calls = tcp((socket) => injector.injectConnection(socket));

const servers: Server[] = [web, plain2 as unknown as Server, echo, calls];
for (const [at, server] of servers.entries()) {
  server.on('connection', (socket: Socket) => {
    sockets.add(socket.on('error', () => {}).on('close', () => sockets.delete(socket)));
  });
  await new Promise<void>((resolve) => server.listen(7000 + at, '::', resolve));
}
createInterface({ input: process.stdin }).on('line', (line) => {
  for (const socket of sockets) {
    if (line === 'reset') socket.resetAndDestroy();
    else socket.destroy();
  }
  process.exit(0);
});
console.log(JSON.stringify({ event: 'listening', pid: process.pid }));
