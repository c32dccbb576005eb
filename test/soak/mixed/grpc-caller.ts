/** Callers by gRPC: single calls with every outcome, and streams. */
import grpc from '@grpc/grpc-js';
import { counted, cut, inTime, isFinishing, rest, tally, windowFromHere, wrong } from './course.ts';
import { MIXED } from './service.ts';
import { bytesOf, objectionToCall, objectionToVersion, PORT, SERVICES } from './versions.ts';

const PAUSE_MS = 60;
const MESSAGE_PAUSE_MS = 100;
const DEADLINE_MS = 20_000;
const METHODS = ['Echo', 'Echo', 'Fail', 'Secret', 'Broken'] as const;
const BODY_BYTES_MAX = 1 << 15;

let client: grpc.Client | null = null;

/** Its one channel. */
function channel(): grpc.Client {
  client ??= new grpc.Client(`${SERVICES.calls.vip}:${PORT}`, grpc.credentials.createInsecure(), {
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.max_reconnect_backoff_ms': 200,
  });
  return client;
}

export function closeChannel(): void {
  client?.close();
  client = null;
}

const text = (metadata: grpc.Metadata, name: string): string | undefined => metadata.get(name)[0]?.toString();

async function callOnce(method: (typeof METHODS)[number]): Promise<void> {
  const window = windowFromHere();
  const asked = bytesOf(Math.floor(Math.random() * 1e6), Math.floor(BODY_BYTES_MAX ** Math.random()));
  const short = method === 'Fail' ? asked.subarray(0, 100) : asked;
  const { path, requestSerialize, responseDeserialize } = MIXED[method];
  const { promise, resolve } = Promise.withResolvers<{
    status: grpc.StatusObject;
    body: Buffer | undefined;
    head: grpc.Metadata;
  }>();
  let head = new grpc.Metadata();
  let body: Buffer | undefined;
  const options = { deadline: Date.now() + DEADLINE_MS };
  channel()
    .makeUnaryRequest(path, requestSerialize, responseDeserialize, short, new grpc.Metadata(), options, (_, value) => {
      body = value;
    })
    .on('metadata', (one) => {
      head = one;
    })
    .on('status', (status) => setImmediate(() => resolve({ status, body, head })));
  const { status } = await promise;
  counted('answers', 'grpc');
  const say = (what: string): void =>
    wrong(`gRPC ${method}: ${what} (${status.code} ${status.details}), in ${JSON.stringify(window())}`);
  const objection = objectionToCall(method, status.code, window());
  if (objection !== null) return say(objection);
  if (status.code === grpc.status.OK && !body?.equals(short)) return say('another body');
  if (status.code === grpc.status.FAILED_PRECONDITION && status.details !== short.toString('hex')) return say('other details');
  if (status.code === grpc.status.OK || status.code === grpc.status.FAILED_PRECONDITION) {
    const versioned = objectionToVersion((name) => text(head, name) ?? text(status.metadata, name), window());
    if (versioned !== null) say(versioned);
  } else tally.refused++;
}

/** A stream in which each message comes back before the next one goes. */
async function talk(lifeMs: number): Promise<void> {
  const window = windowFromHere();
  const { path, requestSerialize, responseDeserialize } = MIXED.Talk;
  const stream = channel().makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
  const until = performance.now() + lifeMs;
  const ended = Promise.withResolvers<grpc.StatusObject>();
  let wake: (bytes: Buffer | null) => void = () => {};
  let head: grpc.Metadata | null = null;
  let messages = 0;
  let isOver = false;
  stream
    .on('metadata', (one) => {
      head = one;
    })
    .on('data', (bytes: Buffer) => wake(bytes))
    .on('error', () => {}) // the status tells it
    .on('status', (status: grpc.StatusObject) => {
      isOver = true;
      ended.resolve(status);
      wake(null);
    });
  while (performance.now() < until && !isFinishing() && !isOver) {
    const asked = bytesOf(messages, 1 + (messages % 3_000));
    const came = new Promise<Buffer | null>((resolve) => (wake = resolve));
    stream.write(asked);
    const bytes = await inTime(`gRPC talk: message ${messages}`, came);
    wake = () => {};
    if (bytes === null) break;
    if (!bytes.equals(asked)) return wrong(`gRPC talk: message ${messages} came back as another one`);
    messages++;
    counted('messages', 'talk');
    await Promise.race([rest(MESSAGE_PAUSE_MS), ended.promise]);
  }
  stream.end();
  const status = await inTime(`gRPC talk: its end after ${messages} messages`, ended.promise);
  if (status === null) return stream.cancel();
  const { code, details, metadata } = status;
  if (code !== grpc.status.OK) {
    if (messages === 0) wrong(`gRPC talk: ${code} ${details} before its first message`);
    else cut('talk', `${code} ${details} after ${messages} messages`);
    return;
  }
  const header = (name: string): string | undefined => text(head ?? metadata, name) ?? text(metadata, name);
  const objection = objectionToVersion(header, window());
  if (objection !== null) wrong(`gRPC talk: ${objection}, in ${JSON.stringify(window())}`);
}

/** Single calls; streams of some seconds, and those that stay. */
export function startGrpcCallers(count: number): Promise<unknown>[] {
  const calling = async (): Promise<void> => {
    for (let at = 0; !isFinishing(); at++) {
      await callOnce(METHODS[at % METHODS.length] ?? 'Echo');
      await rest(Math.random() * 2 * PAUSE_MS);
    }
  };
  const talking = async (lifeMs: () => number): Promise<void> => {
    while (!isFinishing()) await talk(lifeMs());
  };
  return [
    ...Array.from({ length: count }, calling),
    talking(() => 200 + Math.random() * 2_300),
    talking(() => Number.POSITIVE_INFINITY),
  ];
}
