/**
 * A server on port 7000 that answers whoever comes and remembers from where: on "report" it prints how many connections came
 * from each address since it began.
 */
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';

const seen: Record<string, number> = {};

createServer({ allowHalfOpen: true }, (socket) => {
  const from = (socket.remoteAddress ?? '').replace('::ffff:', '');
  seen[from] = (seen[from] ?? 0) + 1;
  socket.on('data', (data) => socket.write(data));
  socket.on('end', () => socket.end());
  socket.on('error', () => {});
}).listen({ port: 7000, host: '::' }, () => console.log(JSON.stringify({ event: 'listening', pid: process.pid })));

createInterface({ input: process.stdin }).on('line', (line) => {
  if (line === 'report') console.log(JSON.stringify({ seen }));
});
