/**
 * Serves HTTP/1.1 on port 7000, HTTP/2 on 7001 and an echo on 7002, and says the id of each request that it executes. On
 * standard input: `reset` ends with RST everywhere, `finish` with FIN; anything else that ends it comes from outside.
 */
import { createServer as http1 } from 'node:http';
import { createServer as http2 } from 'node:http2';
import { type Server, type Socket, createServer as tcp } from 'node:net';
import { createInterface } from 'node:readline';

const PAUSE_MS = 20;
const sockets = new Set<Socket>();

function executed(id: string): void {
  process.stdout.write(`${JSON.stringify({ executed: id })}\n`);
}

const web = http1((request, response) => {
  executed(String(request.headers['x-id']));
  setTimeout(() => response.end('ok'), PAUSE_MS);
});
const grpc = http2();
grpc.on('stream', (stream, headers) => {
  stream.on('error', () => {});
  executed(String(headers['x-id']));
  setTimeout(() => {
    if (stream.destroyed) return;
    stream.respond({ ':status': 200 });
    stream.end('ok');
  }, PAUSE_MS);
});
const echo = tcp((socket) => socket.on('data', (data) => setTimeout(() => socket.write(data), PAUSE_MS)));

const servers: Server[] = [web, grpc as unknown as Server, echo];
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
