// A plain TCP service, as a database would be: says in one line of JSON whom it sees, then sends every byte back.
//   node echo.ts [name] [port]
import { createServer } from 'node:net';
import { announce, plainAddress } from './service.ts';

const name = process.argv[2] ?? 'echo';
const port = Number(process.argv[3] ?? 7000);

const server = createServer((socket) => {
  const greeting = {
    service: name,
    peer: plainAddress(socket.remoteAddress),
    peerPort: socket.remotePort,
    local: plainAddress(socket.localAddress),
    localPort: socket.localPort,
  };
  socket.setNoDelay(true);
  socket.on('error', () => socket.destroy());
  socket.write(`${JSON.stringify(greeting)}\n`);
  socket.pipe(socket);
});
server.listen({ port, host: '::' }, () => announce(name, 'v1', port));
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(0));
