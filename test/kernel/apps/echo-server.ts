/** A TCP server that tells whom it sees: prints "listening", then echoes; answers "who" with the peer it sees. Argument: port. */
import { createServer } from 'node:net';

createServer({ allowHalfOpen: true }, (socket) => {
  socket.on('data', (data) => socket.write(data.toString() === 'who' ? `${socket.remoteAddress} ${socket.remotePort}` : data));
  socket.on('end', () => socket.end());
  socket.on('error', () => {});
}).listen({ port: Number(process.argv[2]), host: '::' }, () => console.log('listening'));
