/**
 * Calls a service at its address, the argument, by HTTP/1.1 on port 7000 and gRPC on 7003. Each line on standard input is a command
 * whose answer is a line `{"<command>": …}`: `begin` and `report` of a steady load, `expect`, `refuse`, `metadata`, `stall`, `hold`.
 */
import { Agent, type ClientRequest, request } from 'node:http';
import { createInterface } from 'node:readline';
import grpc from '@grpc/grpc-js';
import { THROUGH_SERVICE } from './through-service.ts';

const [host = ''] = process.argv.slice(2);
const DEADLINE_MS = 8_000;
const [PERIOD_MS, CALLERS, STALLED] = [20, 4, 4];
const agent = new Agent({ keepAlive: true });
const client = new grpc.Client(`${host}:7003`, grpc.credentials.createInsecure(), {
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 200,
});
const { repeat, flow } = THROUGH_SERVICE;
const deadline = (): Date => new Date(Date.now() + DEADLINE_MS);

type Answer = { status: number; text: string };

function ask(
  path: string,
  options: { headers?: Record<string, string>; ready?: (call: ClientRequest) => void } = {},
): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const { headers, ready = (one) => one.end() } = options;
  const method = headers === undefined ? 'GET' : 'POST';
  const signal = AbortSignal.timeout(DEADLINE_MS);
  const call = request({ host, port: 7000, path, method, agent, signal, ...(headers && { headers }) });
  call.on('error', (error: NodeJS.ErrnoException) => {
    // A connection that ended while it was idle: whoever keeps one has to expect that, and says it again.
    if (call.reusedSocket && error.code === 'ECONNRESET' && headers === undefined) ask(path).then(resolve, reject);
    else reject(error);
  });
  call.on('response', (response) => {
    let text = '';
    response.setEncoding('utf8').on('data', (piece) => {
      text += piece;
    });
    response.on('error', reject).on('end', () => resolve({ status: response.statusCode ?? 0, text }));
  });
  ready(call);
  return promise;
}

function callRepeat(metadata = new grpc.Metadata()): Promise<{ head: grpc.Metadata; trailers: grpc.Metadata }> {
  const { promise, resolve, reject } = Promise.withResolvers<{ head: grpc.Metadata; trailers: grpc.Metadata }>();
  let [head, trailers] = [new grpc.Metadata(), new grpc.Metadata()];
  let failure: Error | null = null;
  const options = { deadline: deadline() };
  client
    .makeUnaryRequest(
      repeat.path,
      repeat.requestSerialize,
      repeat.responseDeserialize,
      Buffer.from('x'),
      metadata,
      options,
      (error) => {
        failure = error;
      },
    )
    .on('metadata', (one) => {
      head = one;
    })
    .on('status', (status) => {
      trailers = status.metadata;
      setImmediate(() => (failure === null ? resolve({ head, trailers }) : reject(failure)));
    });
  return promise;
}

const callFlow = (id: string): grpc.ClientReadableStream<Buffer> =>
  client
    .makeServerStreamRequest(flow.path, flow.requestSerialize, flow.responseDeserialize, Buffer.from(id))
    .on('error', () => {});

let tally: Record<string, { calls: number; failed: string[] }> = {};
async function steadily(way: string, call: () => Promise<unknown>): Promise<void> {
  for (;;) {
    const failure = await call().then(
      () => null,
      (error: unknown) => String(error),
    );
    tally[way] ??= { calls: 0, failed: [] };
    tally[way].calls++;
    if (failure !== null) tally[way].failed.push(failure);
    await new Promise((resolve) => setTimeout(resolve, PERIOD_MS));
  }
}
async function askSlowly(): Promise<void> {
  const { status, text } = await ask('/slow');
  if (status !== 200) throw new Error(`${status} ${text}`);
}

async function expectContinue(path: string): Promise<object> {
  let continueAt: number | null = null;
  const headers = { expect: '100-continue', 'content-length': '4' };
  const ready = (call: ClientRequest): void => {
    call.flushHeaders();
    call.on('continue', () => {
      continueAt = Date.now();
      call.end('body');
    });
  };
  const { status, text } = await ask(path, { headers, ready });
  return { status, continueAt, ...(text === '' ? {} : JSON.parse(text)) };
}

const COMMANDS: Readonly<Record<string, () => Promise<unknown>>> = {
  async begin() {
    if (Object.keys(tally).length === 0)
      for (let caller = 0; caller < CALLERS; caller++) {
        steadily('http', askSlowly).catch(console.error);
        steadily('grpc', () => callRepeat()).catch(console.error);
      }
    tally = { http: { calls: 0, failed: [] }, grpc: { calls: 0, failed: [] } };
    return true;
  },
  report: async () => tally,
  expect: () => expectContinue('/expect'),
  refuse: () => expectContinue('/refuse'),
  async metadata() {
    const sent = new grpc.Metadata();
    for (const value of ['one', 'two, three', 'one']) sent.add('twice', value);
    for (const value of ['a', '\xff\x00']) sent.add('twice-bin', Buffer.from(value, 'latin1'));
    const { head, trailers } = await callRepeat(sent);
    const told = (one: grpc.Metadata): unknown[] => [
      one.get('twice'),
      one.get('twice-bin').map((value) => Buffer.from(value).toString('hex')),
    ];
    return { head: told(head), trailers: told(trailers) };
  },
  /** Streams that are not read any more, and calls beside them on the same channel. */
  async stall() {
    const streams = Array.from({ length: STALLED }, (_, at) => callFlow(`stalled-${at}`));
    await Promise.all(streams.map((one) => new Promise((resolve) => one.once('data', resolve))));
    for (const one of streams) one.pause();
    await new Promise((resolve) => setTimeout(resolve, 500)); // until every buffer on the way is full
    let slowestMs = 0;
    for (let at = 0; at < 20; at++) {
      const began = performance.now();
      await callRepeat();
      slowestMs = Math.max(slowestMs, performance.now() - began);
    }
    for (const one of streams) one.cancel();
    return { slowestMs };
  },
  async hold() {
    const stream = callFlow(`held-by-${process.pid}`);
    await new Promise((resolve) => stream.once('data', resolve));
    return process.pid;
  },
};

createInterface({ input: process.stdin }).on('line', (line) => {
  const answered = COMMANDS[line]?.() ?? Promise.reject(new Error(line));
  answered
    .catch((error: unknown) => ({ error: String(error) }))
    .then((answer) => console.log(JSON.stringify({ [line]: answer })))
    .catch(console.error);
});
console.log(JSON.stringify({ event: 'listening', pid: process.pid }));
