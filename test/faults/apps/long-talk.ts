/**
 * Keeps connections open to each target and sends numbered lines on them, which have to come back as they are. Arguments: host/port.
 * Lines on standard input: `more` opens as many again; `finish` ends all but the first ones, once each line has been sent;
 * after each line it says of every connection how many came back, how many are on their way, and what went wrong.
 */
import { connect, type Socket } from 'node:net';
import { createInterface } from 'node:readline';

const [CONNECTIONS, PERIOD_MS, LINE_BYTES] = [5, 10, 2_000];

/** `ended`: why it did; `finished` where it was told to and all has come back before the other side's end. */
type Talk = { target: string; sent: number; echoed: number; wrong: number; ended: string | null };
const talks: Talk[] = [];
/** How to end those that were opened later. */
const endings: (() => void)[] = [];

function talk(target: string): () => void {
  const [host = '', port = ''] = target.split('/');
  const one: Talk = { target, sent: 0, echoed: 0, wrong: 0, ended: null };
  talks.push(one);
  const socket: Socket = connect({ host, port: Number(port) });
  const line = (number: number): string => String(number).padStart(LINE_BYTES, '.');
  const timer = setInterval(() => {
    if (one.ended === null && !socket.connecting) socket.write(`${line(one.sent++)}\n`);
  }, PERIOD_MS);
  const lines = createInterface({ input: socket });
  lines.on('line', (text) => {
    if (text === line(one.echoed)) one.echoed++;
    else one.wrong++;
  });
  lines.on('error', () => {}); // the socket's, which says it below
  let finishing = false;
  socket.once('error', (error: NodeJS.ErrnoException) => (one.ended = error.code ?? error.message));
  socket.once('close', () => {
    clearInterval(timer);
    // The last line is heard after its socket's end.
    setImmediate(() => (one.ended ??= finishing && one.echoed === one.sent ? 'finished' : 'closed'));
  });
  return () => {
    finishing = true;
    clearInterval(timer);
    socket.end();
  };
}

const targets = process.argv.slice(2).flatMap((target) => Array.from({ length: CONNECTIONS }, () => target));
for (const target of targets) talk(target);
createInterface({ input: process.stdin }).on('line', (said) => {
  if (said === 'more') endings.push(...targets.map(talk));
  if (said === 'finish') for (const end of endings.splice(0)) end();
  console.log(JSON.stringify({ talks }));
});
console.log(JSON.stringify({ event: 'listening', pid: process.pid }));
