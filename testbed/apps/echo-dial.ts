import { connect, type Socket } from 'node:net';
import type { ConnectAnswer, ConnectRequest, Dial, Greeting, StreamState } from './probe-protocol.ts';

const CHUNK = Buffer.alloc(256 * 1024, 'the quick brown shuttle carries the weft through the warp. ');

/** One exchange with an echo service, in progress. */
type Exchange = {
  request: ConnectRequest;
  socket: Socket;
  answer: ConnectAnswer;
  received: Buffer;
  expected: Buffer;
  finish: (error: string | null) => void;
};

/**
 * Connects to an echo service, sends what is asked and waits until all of it has come back.
 * Never rejects: what went wrong is the answer. The socket is returned when it is to be held.
 */
export function dialEcho(request: ConnectRequest): Promise<{ answer: ConnectAnswer; socket: Socket | null }> {
  const startedMs = performance.now();
  const socket = connect({ host: request.host, port: request.port, noDelay: true });
  const answer: ConnectAnswer = {
    stage: 'connect',
    error: null,
    remote: null,
    local: null,
    greeting: null,
    bytesEchoed: 0,
    elapsedMs: 0,
  };
  return new Promise((resolve) => {
    const finish = (error: string | null): void => {
      clearTimeout(timer);
      answer.error = error;
      answer.elapsedMs = performance.now() - startedMs;
      const held = error === null && request.hold;
      socket.removeAllListeners('data').removeAllListeners('drain');
      // What comes after the exchange is nobody's business, but must not end the probe or fill its memory.
      if (held) socket.resume();
      else socket.destroy();
      resolve({ answer, socket: held ? socket : null });
    };
    const timer = setTimeout(() => finish('TIMEOUT'), request.timeoutMs);
    const exchange: Exchange = {
      request,
      socket,
      answer,
      received: Buffer.alloc(0),
      expected: Buffer.from(request.send),
      finish,
    };
    socket.on('connect', () => onConnect(exchange));
    socket.on('data', (bytes: Buffer) => onBytes(exchange, bytes));
    socket.on('error', (error: NodeJS.ErrnoException) => finish(error.code ?? error.message));
    socket.on('end', () => finish('CLOSED'));
  });
}

/** The endpoints of a connected socket as the kernel reports them. */
export function endpoints(socket: Socket): { remote: Dial; local: Dial } {
  return {
    remote: { host: socket.remoteAddress ?? '', port: socket.remotePort ?? 0 },
    local: { host: socket.localAddress ?? '', port: socket.localPort ?? 0 },
  };
}

/** From here on a failure is none of connect(): what the kernel says of both ends is kept for the checks. */
function onConnect({ socket, answer }: Exchange): void {
  answer.stage = 'greeting';
  Object.assign(answer, endpoints(socket));
}

/** The greeting, a line of JSON, tells whom the server sees; all that comes after it is echo. */
function onBytes(exchange: Exchange, bytes: Buffer): void {
  const { answer } = exchange;
  if (answer.stage === 'echo') {
    onEcho(exchange, bytes);
    return;
  }
  exchange.received = Buffer.concat([exchange.received, bytes]);
  const end = exchange.received.indexOf(0x0a);
  if (end < 0) return;
  answer.greeting = JSON.parse(exchange.received.toString('utf8', 0, end)) as Greeting;
  answer.stage = 'echo';
  exchange.socket.write(exchange.expected);
  sendBulk(exchange);
  onEcho(exchange, exchange.received.subarray(end + 1));
}

/** Compares each byte with what was sent: a proxy that loses or swaps some is found out. */
function onEcho({ request, answer, expected, finish }: Exchange, bytes: Buffer): void {
  for (let at = 0; at < bytes.length; ) {
    const [source, offset] =
      answer.bytesEchoed < expected.length
        ? [expected, answer.bytesEchoed]
        : [CHUNK, (answer.bytesEchoed - expected.length) % CHUNK.length];
    const length = Math.min(bytes.length - at, source.length - offset);
    if (bytes.compare(source, offset, offset + length, at, at + length) !== 0) {
      finish('CORRUPTED');
      return;
    }
    at += length;
    answer.bytesEchoed += length;
  }
  if (answer.bytesEchoed < expected.length + request.bulkBytes) return;
  answer.stage = 'done';
  finish(null);
}

/** As fast as the socket takes it, with no more than one buffer of it waiting. */
function sendBulk({ request, socket }: Exchange): void {
  let left = request.bulkBytes;
  const send = (): void => {
    while (left > 0) {
      const size = Math.min(left, CHUNK.length);
      left -= size;
      if (!socket.write(CHUNK.subarray(0, size))) break;
    }
  };
  socket.on('drain', send);
  send();
}

const TICK_MS = 50;
/** Every tick is one byte, so that echoes can be counted without framing. */
const TICK = Buffer.from('.');

/** A long-lived connection to an echo service: a byte every 50 ms, and a record of what came back. */
export type Stream = { state(): StreamState; close(): void };

/** Opens a stream and resolves when the greeting has come, or with the reason why not (errno's name or `CLOSED`). */
export function openStream(dial: Dial): Promise<Stream | string> {
  const socket = connect({ ...dial, noDelay: true });
  return new Promise((resolve) => {
    const failed = (error: NodeJS.ErrnoException): void => resolve(error.code ?? error.message);
    socket.once('error', failed);
    socket.once('end', () => resolve('CLOSED'));
    let greeting = '';
    const onGreeting = (bytes: Buffer): void => {
      greeting += bytes.toString('latin1');
      if (!greeting.endsWith('\n')) return;
      socket.off('data', onGreeting).off('error', failed);
      resolve(tick(socket));
    };
    socket.on('data', onGreeting);
  });
}

function tick(socket: Socket): Stream {
  const state: StreamState = { open: true, how: null, closedAtMs: null, ticksSent: 0, ticksEchoed: 0, gapMsMax: 0 };
  let lastEchoMs = Date.now();
  const timer = setInterval(() => {
    state.ticksSent++;
    socket.write(TICK);
  }, TICK_MS);
  const closed = (how: string): void => {
    clearInterval(timer);
    if (!state.open) return;
    Object.assign(state, { open: false, how, closedAtMs: Date.now() });
    socket.destroy();
  };
  socket.on('data', (bytes: Buffer) => {
    const nowMs = Date.now();
    state.gapMsMax = Math.max(state.gapMsMax, nowMs - lastEchoMs);
    lastEchoMs = nowMs;
    state.ticksEchoed += bytes.length;
  });
  socket.on('error', (error: NodeJS.ErrnoException) => closed(error.code ?? error.message));
  socket.on('end', () => closed('CLOSED'));
  socket.on('close', () => closed('CLOSED'));
  return {
    // A silence that still lasts counts too: a frozen stream must not look healthy.
    state: () => ({ ...state, gapMsMax: state.open ? Math.max(state.gapMsMax, Date.now() - lastEchoMs) : state.gapMsMax }),
    close: () => closed('BY_PROBE'),
  };
}
