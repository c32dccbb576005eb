import type { Socket } from 'node:net';
import { connect } from 'node:net';
import type { ConnectAnswer, ConnectRequest, Dial, Greeting } from './protocol.ts';

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

function onConnect({ socket, answer }: Exchange): void {
  answer.stage = 'greeting';
  Object.assign(answer, endpoints(socket));
}

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
