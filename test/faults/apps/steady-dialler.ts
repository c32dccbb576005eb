/**
 * Dials each target every 20 ms, says hello and waits for the echo. Arguments: host/port. After each line on standard input it
 * says of each target how many were tried, how many failed, over which time failures lay, and how long the longest answer took.
 */
import { connect } from 'node:net';
import { createInterface } from 'node:readline';

const PERIOD_MS = 20;
/** Dials wait while one agent takes over from another, which on a busy machine takes long: what is looked for is one that fails. */
const PATIENCE_MS = 25_000;

type Tally = {
  target: string;
  tried: number;
  failed: number;
  firstMs: number | null;
  lastMs: number | null;
  longestMs: number;
  causes: Record<string, number>;
};
const tallyOf = (target: string): Tally => ({
  target,
  tried: 0,
  failed: 0,
  firstMs: null,
  lastMs: null,
  longestMs: 0,
  causes: {},
});
let tallies = process.argv.slice(2).map(tallyOf);

function dial(tally: Tally): void {
  const [host = '', port = ''] = tally.target.split('/');
  tally.tried++;
  const startedMs = performance.now();
  const socket = connect({ host, port: Number(port), timeout: PATIENCE_MS });
  const failed = (cause: string): void => {
    tally.failed++;
    tally.causes[cause] = (tally.causes[cause] ?? 0) + 1;
    tally.firstMs ??= Date.now();
    tally.lastMs = Date.now();
    socket.destroy();
  };
  socket.once('connect', () => socket.write('hello'));
  socket.once('data', () => {
    tally.longestMs = Math.max(tally.longestMs, Math.round(performance.now() - startedMs));
    socket.destroy();
  });
  socket.once('timeout', () => failed('timeout'));
  socket.once('error', (error: NodeJS.ErrnoException) => failed(error.code ?? error.message));
}

setInterval(() => tallies.forEach(dial), PERIOD_MS);
createInterface({ input: process.stdin }).on('line', () => {
  console.log(JSON.stringify({ tallies }));
  tallies = process.argv.slice(2).map(tallyOf);
});
console.log(JSON.stringify({ event: 'listening', pid: process.pid }));
