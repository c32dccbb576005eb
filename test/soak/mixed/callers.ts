/** Callers by HTTP/1.1 and HTTP/2, each with one call at a time. Every answer is compared with what the configuration asks for. */
import { once } from 'node:events';
import { Agent, type IncomingMessage, request } from 'node:http';
import http2 from 'node:http2';
import { counted, isFinishing, rest, tally, told, type Way, windowFromHere, wrong } from './course.ts';
import { type Answer, bytesOf, type Kind, objectionTo, PORT, SERVICES } from './versions.ts';

const PAUSE_MS = 60;
const DEADLINE_MS = 20_000;
const TRIES_MAX = 5;
const KINDS: readonly Kind[] = ['echo', 'echo', 'echo', 'slow', 'secret', 'old', 'broken', 'limited'];
const BODY_BYTES_MAX = 1 << 17;

type Call = {
  readonly service: 'web' | 'web2';
  readonly kind: Kind;
  readonly path: string;
  readonly up: Buffer;
  readonly down: Buffer;
};
type Answered = Answer & { readonly body: Buffer };
/** Nothing of the call was processed, as far as its way can tell: whoever keeps a connection has to expect that, and calls again. */
class Unprocessed extends Error {}

const below = (bound: number): number => Math.floor(Math.random() * bound);
const some = <One>(all: readonly One[]): One => all[below(all.length)] as One;
/** Small ones more often. */
const size = (): number => Math.floor(BODY_BYTES_MAX ** Math.random());

function draw(): Call {
  const [service, kind, seed] = [some(['web', 'web2'] as const), some(KINDS), below(1 << 20)];
  const [up, down] = [Math.random() < 0.5 ? 0 : size(), size()];
  const query = `seed=${seed}&up=${up}&down=${down}&ms=${kind === 'slow' ? below(1_500) : 0}`;
  return { service, kind, path: `/${kind}?${query}`, up: bytesOf(seed + 1, up), down: bytesOf(seed, down) };
}

/** Calls until everything is to end. */
async function keepCalling(way: Way, make: (call: Call) => Promise<Answered>): Promise<void> {
  while (!isFinishing()) {
    await calledRightly(way, draw(), make);
    await rest(Math.random() * 2 * PAUSE_MS);
  }
}

async function calledRightly(way: Way, call: Call, make: (call: Call) => Promise<Answered>): Promise<void> {
  for (let left = TRIES_MAX; ; left--) {
    const window = windowFromHere();
    try {
      const answer = await make(call);
      const objection = objectionTo(call.service, call.kind, answer, window()) ?? objectionToBody(call, answer);
      if (objection !== null) wrong(`${way} ${call.service}${call.path}: ${objection}, in ${JSON.stringify(window())}`);
      if (answer.status !== 200) tally.refused++;
      counted('answers', way);
      return;
    } catch (error) {
      if (!(error instanceof Unprocessed) || left === 1) return wrong(`${way} ${call.service}${call.path}: ${told(error)}`);
      counted('repeated', way);
    }
  }
}

function objectionToBody({ down }: Call, { status, header, body }: Answered): string | null {
  if (status !== 200) return null;
  if (header('x-body') !== 'right') return 'the app got another body';
  return body.equals(down) ? null : `${body.length} bytes for ${down.length}, or others`;
}

const agent = new Agent({ keepAlive: true });

async function call1(call: Call, over: Agent | false): Promise<Answered> {
  const { service, path, up } = call;
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const asked = request(
    {
      ...{ host: SERVICES[service].vip, port: PORT, path, agent: over },
      method: up.length > 0 ? 'POST' : 'GET',
      headers: { 'content-length': up.length, 'x-caller': `${below(10)}` },
      signal: AbortSignal.timeout(DEADLINE_MS),
    },
    resolve,
  );
  asked.on('error', (error: NodeJS.ErrnoException) => {
    const isStale = asked.reusedSocket && (error.code === 'ECONNRESET' || error.code === 'EPIPE');
    reject(isStale ? new Unprocessed(told(error)) : error);
  });
  asked.end(up);
  const response = await promise;
  const pieces: Buffer[] = [];
  for await (const piece of response) pieces.push(piece as Buffer);
  if (!response.complete) throw new Error('the answer broke off');
  const header = (name: string): string | undefined => response.headers[name] as string | undefined;
  return { status: response.statusCode ?? 0, header, body: Buffer.concat(pieces) };
}

/** A connection that is replaced once it is to end: what is under way on it goes on. */
export class Session {
  readonly #service: 'web' | 'web2';
  #session: http2.ClientHttp2Session | null = null;
  readonly #all = new Set<http2.ClientHttp2Session>();

  constructor(service: 'web' | 'web2') {
    this.#service = service;
  }

  get current(): http2.ClientHttp2Session {
    if (this.#session !== null) return this.#session;
    const session = http2.connect(`http://${SERVICES[this.#service].vip}:${PORT}`);
    this.#session = session;
    this.#all.add(session);
    const left = (): void => {
      if (this.#session === session) this.#session = null;
    };
    session
      .on('goaway', left)
      .on('error', left) // told by its streams
      .on('close', () => {
        left();
        this.#all.delete(session);
      });
    return session;
  }

  /** Resolves when every connection is gone. */
  async close(): Promise<void> {
    await Promise.all(
      [...this.#all].map((one) => {
        one.close();
        return one.destroyed || once(one, 'close');
      }),
    );
  }
}

export const sessions = { web: new Session('web'), web2: new Session('web2') };

async function call2({ service, path, up }: Call): Promise<Answered> {
  const session = sessions[service].current;
  const method = up.length > 0 ? 'POST' : 'GET';
  const stream = session.request(
    { ':path': path, ':method': method, 'x-caller': `${below(10)}` },
    { endStream: up.length === 0 },
  );
  const timer = setTimeout(() => stream.destroy(new Error('no answer in time')), DEADLINE_MS);
  let headers: http2.IncomingHttpHeaders = {};
  stream.on('response', (one) => {
    headers = one;
  });
  if (up.length > 0) stream.end(up);
  try {
    const pieces: Buffer[] = [];
    for await (const piece of stream) pieces.push(piece as Buffer);
    if (stream.rstCode !== http2.constants.NGHTTP2_NO_ERROR) throw new Error(`reset by ${stream.rstCode}`);
    const body = Buffer.concat(pieces);
    return { status: Number(headers[':status']), header: (name) => headers[name] as string | undefined, body };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const isRefused = stream.rstCode === http2.constants.NGHTTP2_REFUSED_STREAM || code === 'ERR_HTTP2_GOAWAY_SESSION';
    throw isRefused ? new Unprocessed(told(error)) : error;
  } finally {
    clearTimeout(timer);
  }
}

/** Callers over connections that stay, and over one for each call; over two connections that all of them share. */
export function startCallers(count: number): Promise<unknown>[] {
  return [
    ...Array.from({ length: count }, () => keepCalling('http1', (call) => call1(call, agent))),
    keepCalling('http1', (call) => call1(call, false)),
    ...Array.from({ length: count }, () => keepCalling('http2', call2)),
  ];
}

/** After the last answer. */
export async function closeConnections(): Promise<void> {
  agent.destroy();
  await Promise.all(Object.values(sessions).map((one) => one.close()));
}
