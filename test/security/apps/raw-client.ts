/**
 * Says bytes to a server and tells what came back. Each line of standard input is JSON with `host`, `port`, `bytes` (base64) and
 * `quietMs`, and `as`, the name of its answer: the connection is over when it is closed, or nothing has come for so long. Prints `{"AS": {bytes, closed}}`.
 */
import { connect } from 'node:net';
import { createInterface } from 'node:readline';

type Line = { as: string; host: string; port: number; bytes: string; quietMs: number };

createInterface({ input: process.stdin }).on('line', (line) => {
  const { as, host, port, bytes, quietMs } = JSON.parse(line) as Line;
  const socket = connect({ host, port });
  const parts: Buffer[] = [];
  let closed = true;
  socket.write(Buffer.from(bytes, 'base64'));
  socket.on('data', (part: Buffer) => void parts.push(part));
  socket.on('error', () => {}); // 'close' follows
  socket.setTimeout(quietMs, () => {
    closed = false;
    socket.destroy();
  });
  socket.on('close', () => console.log(JSON.stringify({ [as]: { bytes: Buffer.concat(parts).toString('base64'), closed } })));
});
console.log(JSON.stringify({ event: 'listening', pid: process.pid }));
