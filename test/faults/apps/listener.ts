/**
 * Listens on port 7000 of an address. Arguments: the address; `echo`, or `sink`: it reads slowly and says of each connection
 * how much came and how it ended.
 */
import { createServer } from 'node:net';

const [host = '::', mode = 'echo'] = process.argv.slice(2);
/** Slow enough that a writer is long gone when its last bytes are read. */
const PAUSE_MS = 5;

createServer({ allowHalfOpen: true }, (socket) => {
  let bytes = 0;
  socket.on('error', (error) => console.log(JSON.stringify({ heard: bytes, error: error.message })));
  if (mode === 'echo') return void socket.pipe(socket);
  socket.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    socket.pause();
    setTimeout(() => socket.resume(), PAUSE_MS);
  });
  socket.on('end', () => {
    console.log(JSON.stringify({ heard: bytes, error: null }));
    socket.end();
  });
}).listen(7000, host, () => console.log(JSON.stringify({ event: 'listening', pid: process.pid })));
