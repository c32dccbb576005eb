/** An echo server on port 7000, and a web server on 8080 that says hello. */
import { createServer as createWebServer } from 'node:http';
import { createServer } from 'node:net';

const [ECHO_PORT, WEB_PORT] = [7000, 8080];

createServer((socket) => {
  socket.on('error', () => {});
  socket.pipe(socket);
}).listen(ECHO_PORT, () => createWebServer((_, answer) => answer.end('hello')).listen(WEB_PORT, () => console.log('listening')));
