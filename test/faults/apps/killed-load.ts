/**
 * Calls each target by HTTP/1.1, HTTP/2 and TCP over connections that are kept, POST with an id of its own, one call after the
 * other per protocol. Arguments: addresses. After each line on standard input it says what became of the calls since the last.
 */
import { Agent, request } from 'node:http';
import { type ClientHttp2Session, connect as connect2 } from 'node:http2';
import { connect, type Socket } from 'node:net';
import { createInterface } from 'node:readline';

const DEADLINE_MS = 4_000;
const PERIOD_MS = 10;
const agent = new Agent({ keepAlive: true, maxSockets: 4 });

let told = { calls: 0, failed: 0, slowestMs: 0 };
let ids = 0;

/** A call that its own deadline ends has failed as well: that is what a deadline is for. */
async function timed(call: (id: string, signal: AbortSignal) => Promise<void>): Promise<void> {
  const began = performance.now();
  const failed = await call(`${process.pid}-${++ids}`, AbortSignal.timeout(DEADLINE_MS)).then(
    () => false,
    () => true,
  );
  told.calls++;
  told.failed += failed ? 1 : 0;
  told.slowestMs = Math.max(told.slowestMs, performance.now() - began);
}

function overHttp1(host: string): (id: string, signal: AbortSignal) => Promise<void> {
  return (id, signal) =>
    new Promise((resolve, reject) => {
      const call = request({ host, port: 7000, method: 'POST', agent, signal, headers: { 'x-id': id, 'content-length': 0 } });
      call.on('error', reject).on('response', (response) => response.on('error', reject).on('end', resolve).resume());
      call.end();
    });
}

function overHttp2(host: string): (id: string, signal: AbortSignal) => Promise<void> {
  let session: ClientHttp2Session | null = null;
  return (id, signal) =>
    new Promise<void>((resolve, reject) => {
      if (session === null || session.closed || session.destroyed) {
        session = connect2(`http://${host}:7001`).on('error', () => {});
      }
      const stream = session.request({ ':method': 'POST', 'x-id': id }, { signal });
      let status = 0;
      stream.on('response', (headers) => {
        status = Number(headers[':status']);
      });
      stream.on('error', reject).on('close', () => (status === 200 ? resolve() : reject(new Error('cut'))));
      stream.resume().end();
    }).catch((error: unknown) => {
      session?.destroy();
      throw error;
    });
}

function overTcp(host: string): (id: string, signal: AbortSignal) => Promise<void> {
  let socket: Socket | null = null;
  return (id, signal) =>
    new Promise<void>((resolve, reject) => {
      if (socket === null || socket.destroyed) socket = connect({ host, port: 7002 });
      const one = socket;
      const end = (): void => {
        one.destroy();
        reject(new Error('cut'));
      };
      one.removeAllListeners('data').once('data', () => resolve());
      one.removeAllListeners('end').once('end', end).once('error', end).once('close', end);
      signal.addEventListener('abort', end, { once: true });
      one.write(id);
    });
}

for (const host of process.argv.slice(2)) {
  for (const call of [overHttp1(host), overHttp2(host), overTcp(host)]) {
    const again = (): void => void timed(call).then(() => setTimeout(again, PERIOD_MS));
    again();
  }
}
createInterface({ input: process.stdin }).on('line', () => {
  console.log(JSON.stringify({ told }));
  told = { calls: 0, failed: 0, slowestMs: 0 };
});
console.log(JSON.stringify({ event: 'listening', pid: process.pid }));
