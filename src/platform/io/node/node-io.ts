import { closeSync } from 'node:fs';
import { createServer, Socket, type SocketConstructorOpts } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { tryParseIp } from '#model/address/ip.ts';
import { type ByteStream, type Dialled, type Endpoint, NOWHERE } from '#model/effects/byte-stream.ts';
import type { Clock } from '#model/effects/clock.ts';
import { guard, type Mishaps } from '#model/effects/mishaps.ts';
import { WeftError } from '#model/error.ts';
import { TUNNEL } from '#model/settings/tunnels.ts';
import type { Io, Listener, OutsideTlsOptions, Secured, SecureStream, TlsContext, TlsOptions } from '#platform/io/io.ts';
import { NodeStream } from './node-stream.ts';
import { NodeTlsContext } from './node-tls.ts';
import { Wire } from './wire.ts';

/**
 * Io over node:net and node:tls. One sentence of the contract it cannot keep over plain TCP: libuv takes a hang-up for an end when it
 * has just read less than it had room for (`uv__stream_io`), so that a reset right behind bytes is told as an end. TLS notices.
 */
export class NodeIo implements Io {
  readonly #clock: Clock;
  readonly #mishaps: Mishaps;

  constructor(clock: Clock, mishaps: Mishaps) {
    this.#clock = clock;
    this.#mishaps = mishaps;
  }

  listen(fd: number, accept: (stream: ByteStream) => void): Listener {
    const server = createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true }, (socket) =>
      guard(
        this.#mishaps,
        'accept',
        () => accept(this.adopt(socket)),
        () => socket.destroy(),
      ),
    );
    // Without a listener one connection that could not be accepted (no descriptor left) would end the process.
    server.on('error', (error) => this.#mishaps.report('accept', error));
    server.listen({ fd, backlog: TUNNEL.acceptBacklogMax });
    const address = server.address();
    return { fd, port: typeof address === 'object' && address !== null ? address.port : 0, close: () => server.close() };
  }

  connect(fd: number, to: Endpoint, deadlineMs: number): Promise<Dialled> {
    // manualStart keeps the constructor from reading a socket that is not connected yet; it is not in the typings.
    const options: SocketConstructorOpts & { manualStart: boolean } = { fd, allowHalfOpen: true, manualStart: true };
    let socket: Socket;
    try {
      socket = new Socket(options);
    } catch (error) {
      closeSync(fd);
      return Promise.resolve({ kind: 'failed', code: 'EBADF', error: error instanceof Error ? error : new Error(String(error)) });
    }
    socket.setNoDelay(true);
    return new Promise((resolve) => {
      const settle = (dialled: Dialled): void => {
        cancel();
        socket.off('error', fail);
        resolve(dialled);
      };
      const fail = (error: Error): void => settle(notOpen(error));
      const cancel = this.#clock.after(deadlineMs, () => {
        settle({ kind: 'deadline' });
        socket.destroy(); // without an error: nobody would hear it
      });
      socket.once('error', fail);
      socket.connect({ host: to.ip, port: to.port }, () => {
        socket.setKeepAlive(true, TUNNEL.tcpKeepAliveMs);
        settle({ kind: 'open', stream: this.adopt(socket) });
      });
    });
  }

  tlsContext(options: TlsOptions | OutsideTlsOptions): TlsContext {
    return new NodeTlsContext(options);
  }

  secure(stream: ByteStream, context: TlsContext, deadlineMs: number | null): Promise<Secured> {
    if (!(stream instanceof NodeStream) || !(context instanceof NodeTlsContext)) {
      throw new WeftError('WEFT_TLS', 'a stream or context of another implementation of Io', { remedy: 'report this as a bug' });
    }
    if (stream.isOver) return Promise.resolve({ kind: 'gone', code: 'ECONNRESET' });
    return new Promise((resolve) => {
      const wire = new Wire(stream, context.role);
      let settled = false;
      const settle = (secured: Secured): void => {
        if (settled) return;
        settled = true;
        cancel();
        if (secured.kind !== 'open') giveUp(secured);
        resolve(secured);
      };
      const giveUp = ({ kind }: Secured): void => {
        stream.carry(null);
        // What TLS has said last, an alert, is to arrive.
        if (kind === 'refused') stream.close();
        else stream.reset();
        socket.destroy();
      };
      const cancel = deadlineMs === null ? () => {} : this.#clock.after(deadlineMs, () => settle({ kind: 'deadline' }));
      wire.onBroken((how) => settle({ kind: 'gone', code: how.kind === 'finished' ? 'ECONNRESET' : how.code }));
      stream.carry(() => settle({ kind: 'gone', code: 'ECONNABORTED' }));
      const socket = context.handshake(wire, (outcome) => {
        if (!settled) settle(outcome instanceof Error ? refusal(outcome) : this.#secured(outcome, wire));
      });
    });
  }

  #secured(socket: TLSSocket, wire: Wire): Secured {
    wire.stream.carry(null);
    const stream = new NodeStream(socket, wire.stream, this.#mishaps, wire);
    // Of an end in order TLS hears by itself, after all bytes: its reader may have stopped before them.
    wire.onBroken((how) => how.kind === 'finished' || stream.breakOff(how));
    const peerChain: Buffer[] = [];
    for (let next = socket.getPeerX509Certificate(); next !== undefined && peerChain.length < 16; next = next.issuerCertificate)
      peerChain.push(next.raw);
    return { kind: 'open', stream: Object.assign(stream, { peerChain, group: wire.group }) satisfies SecureStream };
  }

  /** A connected socket that nobody has read from. */
  adopt(socket: Socket): NodeStream {
    const remote = endpoint(socket.remoteAddress, socket.remotePort);
    const local = endpoint(socket.localAddress, socket.localPort);
    return new NodeStream(socket, { remote, local }, this.#mishaps);
  }
}

function endpoint(address: string | undefined, port: number | undefined): Endpoint {
  const ip = tryParseIp(address ?? ''); // null with a zone, as in fe80::1%eth0
  return ip === null || port === undefined ? NOWHERE : { ip, port };
}

/** What node:net throws at a dial, as a value. */
export function notOpen(thrown: unknown): Dialled {
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  const code = String(Reflect.get(error, 'code') ?? 'EIO');
  if (code === 'ECONNREFUSED') return { kind: 'refused', code };
  return code === 'ETIMEDOUT' ? { kind: 'deadline' } : { kind: 'failed', code, error };
}

/** OpenSSL's verdicts on chains have no number of the library's in their code. */
function refusal(error: Error): Secured {
  const code = String(Reflect.get(error, 'code') ?? '');
  if (code === 'ECONNRESET' || code === 'EPIPE') return { kind: 'gone', code };
  const reason: unknown = Reflect.get(error, 'reason');
  if (typeof reason === 'string') return { kind: 'refused', by: /alert/i.test(reason) ? 'peer' : 'us', why: reason };
  const isAboutChain = code !== '' && !code.startsWith('ERR_');
  return { kind: 'refused', by: 'us', why: isAboutChain ? `certificate verify failed: ${error.message}` : error.message };
}
