import { Duplex } from 'node:stream';
import { type IpAddress, tryParseIp } from '#model/address/ip.ts';
import { type ByteStream, NOWHERE } from '#model/effects/byte-stream.ts';
import { SILENT_MISHAPS } from '#model/effects/mishaps.ts';
import { NodeStream } from '#platform/io/node/node-stream.ts';

/** One end of a connection. */
export type Endpoint = { ip: IpAddress; port: number };

/** An error as Node's sockets have it. */
export function socketError(code: string, what: string): Error {
  return Object.assign(new Error(`${what} ${code}`), { code });
}

/**
 * A TCP connection in memory: half-open capable, with back-pressure, an end that is an end and a reset that is one.
 * What one side does, the other sees a turn of the event loop later, as on a wire.
 */
export class MemorySocket extends Duplex {
  readonly localAddress: string;
  readonly localPort: number;
  readonly remoteAddress: string;
  readonly remotePort: number;
  /** Set by tests that pass something beside the bytes. */
  greeting: unknown = null;
  #other: MemorySocket | null = null;
  #roomMade: (() => void) | null = null;
  #finSent = false;
  #reset = false;

  constructor(local: Endpoint, remote: Endpoint) {
    super({ allowHalfOpen: true });
    this.localAddress = local.ip;
    this.localPort = local.port;
    this.remoteAddress = remote.ip;
    this.remotePort = remote.port;
  }

  /** Must be called once on one of both. */
  join(other: MemorySocket): void {
    this.#other = other;
    other.#other = this;
  }

  get other(): MemorySocket {
    if (this.#other === null) throw new Error('a socket without its other end');
    return this.#other;
  }

  /** As of net.Socket: the peer sees ECONNRESET, whoever destroys this side sees no error. */
  resetAndDestroy(): this {
    this.#reset = true;
    return this.destroy();
  }

  override _read(): void {
    const roomMade = this.#roomMade;
    this.#roomMade = null;
    roomMade?.();
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error) => void): void {
    setImmediate(() => {
      if (this.destroyed) return done();
      const { other } = this;
      if (other.destroyed) return done(socketError('EPIPE', 'write'));
      if (other.push(chunk)) done();
      else other.#roomMade = done;
    });
  }

  override _final(done: () => void): void {
    this.#sendEnd();
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    const { other } = this;
    if (error !== null || this.#reset) {
      setImmediate(() => {
        if (!other.destroyed) other.destroy(socketError('ECONNRESET', 'read'));
      });
    } else this.#sendEnd();
    done(error);
  }

  #sendEnd(): void {
    if (this.#finSent) return;
    this.#finSent = true;
    setImmediate(() => {
      if (!this.other.destroyed && !this.#reset) this.other.push(null);
    });
  }
}

/** A connection from `client` to `server`: the socket of each side. */
export function memoryConnection(client: Endpoint, server: Endpoint): { client: MemorySocket; server: MemorySocket } {
  const pair = { client: new MemorySocket(client, server), server: new MemorySocket(server, client) };
  pair.client.join(pair.server);
  return pair;
}

const streams = new WeakMap<MemorySocket, ByteStream>();
const sockets = new WeakMap<ByteStream, MemorySocket>();

/** A socket as the product has it; the same one for each socket. */
export function asStream(socket: MemorySocket): ByteStream {
  const known = streams.get(socket);
  if (known !== undefined) return known;
  const end = (address: string | undefined, port: number): Endpoint => {
    const ip = tryParseIp(address ?? '');
    return ip === null ? NOWHERE : { ip, port };
  };
  const remote = end(socket.remoteAddress, socket.remotePort);
  const local = end(socket.localAddress, socket.localPort);
  const stream = new NodeStream(socket, { remote, local }, SILENT_MISHAPS);
  streams.set(socket, stream);
  sockets.set(stream, socket);
  return stream;
}

/** The socket behind a stream of `asStream`. */
export function socketOf(stream: ByteStream): MemorySocket {
  const socket = sockets.get(stream);
  if (socket === undefined) throw new Error('not a stream of a memory socket');
  return socket;
}

/** What arrives at a socket: collects from when it is made, so make it before anything is sent. */
export type Received = { text(): string; ended(): boolean; error(): string | null; closed(): boolean };

/** Reads a socket to its end. */
export function receivedBy(socket: Duplex): Received {
  let text = '';
  let ended = false;
  let error: string | null = null;
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('utf8');
  });
  socket.on('end', () => {
    ended = true;
  });
  socket.on('error', (cause: Error) => {
    error = 'code' in cause ? String(cause.code) : cause.message;
  });
  return { text: () => text, ended: () => ended, error: () => error, closed: () => socket.destroyed };
}

/** Lets everything that is under way happen, until `condition` holds. */
export async function until(condition: () => boolean, what = 'the condition', turnsMax = 2_000): Promise<void> {
  for (let turn = 0; turn < turnsMax; turn++) {
    if (condition()) return;
    await new Promise((resolve) => setImmediate(resolve));
  }
  throw new Error(`never happened: ${what}`);
}

/** Lets everything that is under way happen. */
export async function settle(turns = 20): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
}
