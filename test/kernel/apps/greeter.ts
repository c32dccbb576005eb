/** A TCP server that greets whoever connects with its name, and ends. Arguments: port, name. Prints "listening". */
import { createServer } from 'node:net';

const [, , port, name = ''] = process.argv;
createServer((socket) => {
  socket.on('error', () => {});
  socket.resume();
  socket.end(name);
}).listen({ port: Number(port), host: '::', backlog: 4096 }, () => console.log('listening'));
