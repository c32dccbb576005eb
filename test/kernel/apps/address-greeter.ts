/**
 * A TCP server that greets whoever connects with the number of the address at which it was reached: 0 for the first hundred of a
 * network, 1 for the next, and so on. Arguments: port. Prints "listening".
 */
import { createServer } from 'node:net';

const ADDRESSES = 100;

const [, , port] = process.argv;
createServer((socket) => {
  socket.on('error', () => {});
  socket.resume();
  const [, , third = 0, fourth = 0] = (socket.localAddress ?? '').split(':').at(-1)?.split('.').map(Number) ?? [];
  socket.end(String(Math.floor((third * 256 + fourth) / ADDRESSES)));
}).listen({ port: Number(port), host: '0.0.0.0', backlog: 4096 }, () => console.log('listening'));
