/**
 * Keeps connections open to each target and sends numbered lines on them, which have to come back as they are. Arguments: host/port.
 * After a line on standard input it says how many came back, how many are on their way, and what went wrong.
 */
import { connect, type Socket } from 'node:net';
import { createInterface } from 'node:readline';

const [CONNECTIONS, PERIOD_MS, LINE_BYTES] = [5, 10, 2_000];

type Talk = { target: string; sent: number; echoed: number; wrong: number; ended: string | null };
const talks: Talk[] = [];

function talk(target: string): void {
  const [host = '', port = ''] = target.split('/');
  const one: Talk = { target, sent: 0, echoed: 0, wrong: 0, ended: null };
  talks.push(one);
  const socket: Socket = connect({ host, port: Number(port) });
  const line = (number: number): string => String(number).padStart(LINE_BYTES, '.');
  socket.once('connect', () => setInterval(() => one.ended === null && socket.write(`${line(one.sent++)}\n`), PERIOD_MS));
  const lines = createInterface({ input: socket });
  lines.on('line', (text) => {
    if (text === line(one.echoed)) one.echoed++;
    else one.wrong++;
  });
  lines.on('error', () => {}); // the socket's, which says it below
  socket.once('error', (error: NodeJS.ErrnoException) => (one.ended = error.code ?? error.message));
  socket.once('close', () => (one.ended ??= 'closed'));
}

for (const target of process.argv.slice(2)) for (let count = 0; count < CONNECTIONS; count++) talk(target);
createInterface({ input: process.stdin }).on('line', () => console.log(JSON.stringify({ talks })));
console.log(JSON.stringify({ event: 'listening', pid: process.pid }));
