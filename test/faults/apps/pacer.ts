/**
 * Sends small messages over connections that stay and waits for each to come back, and dials now and then, also until the echo is back.
 * Arguments: host, port. After each line on standard input it says how long that took since the last: p50, p99.9 and the longest, in ms.
 */
import { connect, type Socket } from 'node:net';
import { createInterface } from 'node:readline';

const [host = '', port = ''] = process.argv.slice(2);
const [CONNECTIONS, PAUSE_MS, DIAL_PERIOD_MS, MESSAGE_BYTES] = [4, 2, 20, 64];
const MESSAGE = Buffer.alloc(MESSAGE_BYTES, 'm');

let trips: number[] = [];
let dials: number[] = [];
let failed = 0;

/** Calls `back` when the whole message has come back. */
function echoed(socket: Socket, back: () => void): void {
  let bytes = 0;
  socket.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes < MESSAGE_BYTES) return;
    bytes -= MESSAGE_BYTES;
    back();
  });
  socket.on('error', () => failed++);
}

function talk(): void {
  const socket = connect({ host, port: Number(port), noDelay: true });
  let since = 0;
  const send = (): void => {
    since = performance.now();
    socket.write(MESSAGE);
  };
  echoed(socket, () => {
    trips.push(performance.now() - since);
    setTimeout(send, PAUSE_MS);
  });
  socket.once('connect', send);
}

function dial(): void {
  const since = performance.now();
  const socket = connect({ host, port: Number(port), noDelay: true }, () => socket.write(MESSAGE));
  echoed(socket, () => {
    dials.push(performance.now() - since);
    socket.destroy();
  });
}

function summary(all: number[]): object {
  const sorted = all.toSorted((a, b) => a - b);
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
  return { count: sorted.length, p50: at(0.5), p999: at(0.999), most: sorted.at(-1) ?? Number.NaN };
}

for (let count = 0; count < CONNECTIONS; count++) talk();
setInterval(dial, DIAL_PERIOD_MS);
createInterface({ input: process.stdin }).on('line', () => {
  console.log(JSON.stringify({ paced: { trips: summary(trips), dials: summary(dials), failed } }));
  [trips, dials] = [[], []];
});
console.log(JSON.stringify({ event: 'listening', pid: process.pid }));
