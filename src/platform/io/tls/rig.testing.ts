import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import net from 'node:net';
import { parseIp } from '#model/address/ip.ts';
import type { ByteStream, Dialled, StreamOver } from '#model/effects/byte-stream.ts';
import { SILENT_MISHAPS } from '#model/effects/mishaps.ts';
import { bind, socket } from '#platform/ffi/libc.ts';
import { encodeSockaddr } from '#platform/ffi/sockaddr.ts';
import { liveSslCount } from '#platform/ffi/ssl.ts';
import { SYSCALLS } from '#platform/ffi/syscalls.ts';
import { CoreIo } from '#platform/io/core/core-io.ts';
import { Loop } from '#platform/io/core/loop.ts';
import type { Listener, Secured, SecureStream } from '#platform/io/io.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import type { Certified } from './authority.testing.ts';
import { CoreTlsContext } from './handshake.ts';

const LOOPBACK = parseIp('127.0.0.1');
const AF_INET = 2;
const STREAM_NONBLOCK_CLOEXEC = 0o2004001;
/** The handshake's deadline in these tests; their clock stands still until somebody moves it. */
export const DEADLINE_MS = 10_000;

/** Of all rigs: a thread has one. */
const LOOP = new Loop(SYSCALLS, SILENT_MISHAPS);

/** TLS on real sockets, with a clock of the test's. */
export class Rig {
  readonly clock = new SteppedClock();
  readonly io = new CoreIo(this.clock, SILENT_MISHAPS, SYSCALLS, LOOP);
  #listener: Listener | null = null;
  #secured: Secured[] = [];
  #waiting: ((secured: Secured) => void) | null = null;
  readonly streams: ByteStream[] = [];

  /** The port of a server that secures what it accepts. */
  serve(context: () => CoreTlsContext): number {
    this.#listener = this.io.listen(tcpDescriptor(), (stream) => {
      this.streams.push(stream);
      void this.io.secure(stream, context(), DEADLINE_MS).then((secured) => {
        const waiting = this.#waiting;
        this.#waiting = null;
        if (waiting === null) this.#secured.push(secured);
        else waiting(secured);
      });
    });
    return this.#listener.port;
  }

  /** What came of the next handshake of the server. */
  next(): Promise<Secured> {
    const first = this.#secured.shift();
    return first === undefined ? new Promise((resolve) => (this.#waiting = resolve)) : Promise.resolve(first);
  }

  async dial(port: number): Promise<ByteStream> {
    const dialled = await this.#dial(port);
    assert.ok(dialled.kind === 'open', dialled.kind);
    return dialled.stream;
  }

  async #dial(port: number): Promise<Dialled> {
    return await this.io.connect(tcpDescriptor(), { ip: LOOPBACK, port }, DEADLINE_MS);
  }

  async connect(port: number, context: CoreTlsContext): Promise<Secured> {
    const dialled = await this.#dial(port);
    return dialled.kind === 'open' ? this.io.secure(dialled.stream, context, DEADLINE_MS) : { kind: 'gone', code: dialled.kind };
  }

  context(role: 'client' | 'server', { chain, key }: Certified, root: Certified, alpn = 'h2'): CoreTlsContext {
    return new CoreTlsContext({ role, chain, key, roots: root.pem, alpn });
  }

  close(): void {
    this.#listener?.close();
  }
}

/** A TCP socket that is bound to a port of loopback. */
export function tcpDescriptor(): number {
  const fd = socket(AF_INET, STREAM_NONBLOCK_CLOEXEC, 0);
  const address = encodeSockaddr(LOOPBACK, 0);
  assert.equal(bind(fd, address, address.length), 0);
  return fd;
}

/** Reads everything; what it was, and how it ended. `endToo`: answers an end with an end. `told`: at the first bytes. */
export function drain(
  stream: ByteStream,
  endToo = true,
  told = (): void => {},
): Promise<{ bytes: Buffer; ended: boolean; how: StreamOver }> {
  const chunks: Buffer[] = [];
  let ended = false;
  return new Promise((resolve) =>
    stream.read({
      bytes(buffer, start, end) {
        chunks.push(Buffer.from(buffer.subarray(start, end)));
        told();
        return end - start;
      },
      end() {
        ended = true;
        if (endToo) stream.end();
      },
      writable() {},
      over: (how) => resolve({ bytes: Buffer.concat(chunks), ended, how }),
    }),
  );
}

/** The stream of a handshake that has to have come off. */
export function secureStream(secured: Secured): SecureStream {
  assert.ok(secured.kind === 'open', JSON.stringify(secured));
  return secured.stream;
}

/** A handshake that did not come off, in a line. */
export function inWords(secured: Secured): string {
  switch (secured.kind) {
    case 'open':
      return 'open';
    case 'refused':
      return `refused by ${secured.by}: ${secured.why}`;
    case 'gone':
      return `gone: ${secured.code}`;
    case 'deadline':
      return 'deadline';
    default:
      return secured satisfies never;
  }
}

/** What must be as it was when all is over. */
export function held(): { descriptors: number; ssl: number } {
  return { descriptors: readdirSync('/proc/self/fd').length, ssl: liveSslCount() };
}

/** A run of the openssl command: what it said, when it is over. */
export type OpensslRun = {
  readonly output: () => string;
  readonly over: Promise<string>;
  say(text: string): void;
  stop(): void;
  kill(): void;
  until(pattern: RegExp): Promise<void>;
};

/** Runs the openssl command; its input stays open until `stop`. */
export function openssl(...args: string[]): OpensslRun {
  const child = spawn('openssl', args, { stdio: 'pipe' });
  let output = '';
  const listeners = new Set<() => void>();
  const note = (chunk: Buffer): void => {
    output += chunk.toString('latin1');
    for (const listener of listeners) listener();
  };
  child.stdout.on('data', note);
  child.stderr.on('data', note);
  child.stdin.on('error', () => {});
  const over = new Promise<string>((resolve) => child.on('close', () => resolve(output)));
  const until = (pattern: RegExp): Promise<void> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        if (!pattern.test(output)) return;
        listeners.delete(look);
        resolve();
      };
      listeners.add(look);
      void over.then(() => reject(new Error(`openssl is over without ${pattern}: ${output}`)));
      look();
    });
  return {
    output: () => output,
    over,
    say: (text) => child.stdin.write(text),
    stop: () => child.stdin.end(),
    kill: () => child.kill('SIGKILL'),
    until,
  };
}

/** Sends bytes as they are, then leaves in some way; resolves with what came back when the connection is over, and rejects when it was reset. */
export function sendRaw(port: number, pieces: readonly Buffer[], then: 'end' | 'reset' | 'stay'): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    const raw = net.connect({ port, host: '127.0.0.1', noDelay: true }, () => {
      for (const piece of pieces) raw.write(piece);
      if (then === 'end') raw.end();
      if (then === 'reset') raw.write('', () => raw.resetAndDestroy());
    });
    raw.on('data', (chunk: Buffer) => chunks.push(chunk));
    raw.on('error', reject);
    raw.on('close', () => resolve(Buffer.concat(chunks)));
  });
}
