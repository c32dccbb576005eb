/**
 * Calls each target by HTTP/1.1, HTTP/2, TCP and gRPC (an answer, and a stream of them) over connections that are kept, with an id
 * of its own, one call after the other per protocol. Arguments: addresses. After each line on standard input it says what became
 * of the calls since the last, of each protocol and target.
 */
import { Agent, request } from 'node:http';
import { type ClientHttp2Session, connect as connect2 } from 'node:http2';
import { connect, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import grpc from '@grpc/grpc-js';
import { KILLED_SERVICE } from './killed-service.ts';

const DEADLINE_MS = 4_000;
const PERIOD_MS = 20;
const agent = new Agent({ keepAlive: true, maxSockets: 4 });

type Told = { way: string; calls: number; failed: number; slowestMs: number };
let told = new Map<string, Told>();
let ids = 0;

/** A call that its own deadline ends has failed as well: that is what a deadline is for. */
async function timed(way: string, call: Call): Promise<void> {
  const began = performance.now();
  const failed = await call(`${process.pid}-${++ids}`, AbortSignal.timeout(DEADLINE_MS)).then(
    () => 0,
    () => 1,
  );
  const one = told.get(way) ?? { way, calls: 0, failed: 0, slowestMs: 0 };
  const slowestMs = Math.round(Math.max(one.slowestMs, performance.now() - began));
  told.set(way, { way, calls: one.calls + 1, failed: one.failed + failed, slowestMs });
}

type Call = (id: string, signal: AbortSignal) => Promise<void>;

function overHttp1(host: string): Call {
  return (id, signal) =>
    new Promise((resolve, reject) => {
      const call = request({ host, port: 7000, method: 'POST', agent, signal, headers: { 'x-id': id, 'content-length': 0 } });
      call.on('error', reject).on('response', (response) => {
        // 503: the waypoint's own answer
        const done = (): void => (response.statusCode === 200 ? resolve() : reject(new Error(String(response.statusCode))));
        response.on('error', reject).on('end', done).resume();
      });
      call.end();
    });
}

function overHttp2(host: string): Call {
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

function overTcp(host: string): Call {
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

/** One channel for both kinds: its deadline is the call's own, and a channel is never made anew. */
function overGrpc(host: string): { say: Call; tell: Call } {
  const { say, tell } = KILLED_SERVICE;
  const options = { 'grpc.initial_reconnect_backoff_ms': 100, 'grpc.max_reconnect_backoff_ms': 500 };
  const client = new grpc.Client(`${host}:7003`, grpc.credentials.createInsecure(), options);
  const metadata = new grpc.Metadata();
  const deadline = (): { deadline: number } => ({ deadline: Date.now() + DEADLINE_MS });
  return {
    say: (id) =>
      new Promise((resolve, reject) => {
        const { path, requestSerialize, responseDeserialize } = say;
        client.makeUnaryRequest(path, requestSerialize, responseDeserialize, id, metadata, deadline(), (error) =>
          error === null ? resolve() : reject(error),
        );
      }),
    tell: (id) =>
      new Promise((resolve, reject) => {
        const { path, requestSerialize, responseDeserialize } = tell;
        let count = 0;
        client
          .makeServerStreamRequest(path, requestSerialize, responseDeserialize, id, metadata, deadline())
          .on('data', () => count++)
          .on('error', reject)
          .on('end', () => (count === 3 ? resolve() : reject(new Error(`${count} of 3`))));
      }),
  };
}

for (const host of process.argv.slice(2)) {
  const { say, tell } = overGrpc(host);
  const ways = { http1: overHttp1(host), http2: overHttp2(host), tcp: overTcp(host), unary: say, stream: tell };
  for (const [way, call] of Object.entries(ways)) {
    const again = (): void => void timed(`${way} ${host}`, call).then(() => setTimeout(again, PERIOD_MS));
    again();
  }
}
createInterface({ input: process.stdin }).on('line', () => {
  console.log(JSON.stringify({ told: [...told.values()] }));
  told = new Map();
});
console.log(JSON.stringify({ event: 'listening', pid: process.pid }));
