/**
 * Tries without a pause to be bound where the agent is, as a program of the workload that has every capability: each of its
 * ports, TCP and UDP, every address, with and without SO_REUSEADDR and SO_REUSEPORT; what it gets it keeps, and answers each
 * look-up with 6.6.6.6. On "report" it prints how often it tried and what it got.
 */
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';
import { networkInterfaces } from 'node:os';
import { createInterface } from 'node:readline';

const PORTS = [15_001, 15_006, 15_008, 15_053];
const PAUSE_MS = 5;
const own = Object.values(networkInterfaces())
  .flatMap((all) => all ?? [])
  .filter(({ scopeid }) => (scopeid ?? 0) === 0)
  .map(({ address }) => address);
const hosts = [...new Set(['0.0.0.0', '::', ...own])];
const got: string[] = [];
let tries = 0;

/** The question again, with one address as its answer. */
function forged(query: Buffer): Buffer {
  const head = Buffer.from(query.subarray(0, 12));
  head.writeUInt16BE(0x8180, 2);
  head.writeUInt16BE(1, 6);
  head.writeUInt16BE(0, 10);
  const question = query.subarray(12, query.indexOf(0, 12) + 5);
  return Buffer.concat([head, question, Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 6, 6, 6, 6])]);
}

function tryDatagram(address: string, port: number, reuse: 'reuseAddr' | 'reusePort'): Promise<void> {
  return new Promise((resolve) => {
    const socket = createSocket({ type: address.includes(':') ? 'udp6' : 'udp4', [reuse]: true });
    socket.once('error', () => socket.close(() => resolve()));
    socket.on('message', (query, { address: to, port: at }) => socket.send(forged(query), at, to));
    socket.bind({ address, port, exclusive: true }, () => {
      got.push(`udp ${address} ${port}`);
      resolve();
    });
  });
}

function tryStream(host: string, port: number, reusePort: boolean): Promise<void> {
  return new Promise((resolve) => {
    const server = createServer((socket) => socket.destroy());
    server.once('error', () => resolve());
    server.listen({ host, port, reusePort, exclusive: true }, () => {
      got.push(`tcp ${host} ${port}`);
      resolve();
    });
  });
}

async function squat(): Promise<void> {
  for (;;) {
    for (const port of PORTS)
      for (const host of hosts) {
        await tryDatagram(host, port, 'reuseAddr');
        await tryDatagram(host, port, 'reusePort');
        await tryStream(host, port, false); // libuv sets SO_REUSEADDR by itself
        await tryStream(host, port, true);
        tries += 4;
      }
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
}

createInterface({ input: process.stdin }).on('line', (line) => {
  if (line === 'report') console.log(JSON.stringify({ squatted: { tries, got } }));
});
void squat();
console.log(JSON.stringify({ event: 'listening', pid: process.pid }));
