/**
 * Without arguments: a client that is told what to do, `ping HOST PORT MS` (64 bytes there and back on one connection, again and again)
 * or `stall HOST PORT COUNT` (connections that write until nothing more is taken, and stay), `fill FILE` (until its disk takes no more,
 * and from then on as soon as it does) and `free`. With `mute`: a server on port 7000 that accepts and never reads.
 */
import { once } from 'node:events';
import { closeSync, openSync, rmSync, writeSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { createInterface } from 'node:readline';

const MESSAGE = Buffer.alloc(64, 'p');
const CHUNK = Buffer.alloc(65_536, 's');
const AT_ONCE = 50;
const REFILL_MS = 5;

async function ping(host: string, port: number, forMs: number): Promise<object> {
  const socket = connect({ host, port, noDelay: true });
  await once(socket, 'connect');
  const times: number[] = [];
  const endMs = performance.now() + forMs;
  while (performance.now() < endMs) {
    const sentMs = performance.now();
    socket.write(MESSAGE);
    for (let left = MESSAGE.length; left > 0; ) left -= ((await once(socket, 'data')) as [Buffer])[0].length;
    times.push(performance.now() - sentMs);
  }
  socket.destroy();
  times.sort((a, b) => a - b);
  const at = (share: number): number => Math.round(1_000 * (times[Math.floor(times.length * share)] ?? 0));
  return { count: times.length, p50Us: at(0.5), p99Us: at(0.99) };
}

/** Resolves when the connection takes no more for now; it is kept. */
function stall(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port }, () => {
      while (socket.write(CHUNK));
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}

async function stallAll(host: string, port: number, count: number): Promise<number> {
  let [begun, stalled] = [0, 0];
  const one = async (): Promise<void> => {
    while (begun++ < count) if (await stall(host, port)) stalled++;
  };
  await Promise.all(Array.from({ length: AT_ONCE }, one));
  return stalled;
}

let stopFilling = (): void => {};

function fill(path: string): boolean {
  const file = openSync(path, 'a');
  const take = (): void => {
    try {
      for (;;) writeSync(file, CHUNK);
    } catch {
      // It is full, until somebody gives something back.
    }
  };
  const timer = setInterval(take, REFILL_MS);
  stopFilling = () => {
    clearInterval(timer);
    closeSync(file);
    rmSync(path);
  };
  take();
  return true;
}

function free(): boolean {
  stopFilling();
  return true;
}

async function obey(what: string, host: string, port: number, amount: number): Promise<object> {
  switch (what) {
    case 'ping':
      return { ping: await ping(host, port, amount) };
    case 'fill':
      return { filled: fill(host) };
    case 'free':
      return { freed: free() };
    default:
      return { stalled: await stallAll(host, port, amount) };
  }
}

if (process.argv[2] === 'mute') createServer((socket) => void socket.on('error', () => {}).pause()).listen(7000, '::', ready);
else {
  createInterface({ input: process.stdin }).on('line', async (line) => {
    const [what = '', host = '', port = '', amount = ''] = line.split(' ');
    console.log(JSON.stringify(await obey(what, host, Number(port), Number(amount))));
  });
  ready();
}

function ready(): void {
  console.log(JSON.stringify({ event: 'listening', pid: process.pid }));
}
