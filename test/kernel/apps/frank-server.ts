/** A TCP server on 127.0.0.1 that prints the first bytes of each connection as hex, and says that it has heard them. Argument: port. Prints "listening". */
import { createServer } from 'node:net';

createServer({ allowHalfOpen: true }, (socket) => {
  socket.once('data', (data) => {
    console.log(data.toString('hex'));
    socket.write('heard');
  });
  socket.resume();
  socket.on('end', () => socket.end());
  socket.on('error', () => {});
}).listen({ port: Number(process.argv[2]), host: '127.0.0.1' }, () => console.log('listening'));
