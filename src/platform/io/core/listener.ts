import { type ByteStream, type Endpoint, NOWHERE } from '#model/effects/byte-stream.ts';
import type { Clock } from '#model/effects/clock.ts';
import { guard } from '#model/effects/mishaps.ts';
import { IO } from '#model/settings/io.ts';
import { TUNNEL } from '#model/settings/tunnels.ts';
import { ERRNO, errnoName } from '#platform/ffi/libc.ts';
import { Memory } from '#platform/ffi/memory.ts';
import { decodeSockaddr } from '#platform/ffi/sockaddr.ts';
import { SOCKADDR_BYTES, type Syscalls } from '#platform/ffi/syscalls.ts';
import type { Listener } from '#platform/io/io.ts';
import { PlainChannel } from './channel.ts';
import { Connection, type ConnectionHost } from './connection.ts';
import { READY, type Watch, type Watcher } from './loop.ts';

const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;
const TCP_KEEPIDLE = 4;
const SOL_SOCKET = 1;
const SO_KEEPALIVE = 9;
/** EPOLLEXCLUSIVE. Fixed by Linux. */
const EXCLUSIVE = 0x1000_0000;
/** Fixed by the calendar. */
const MS_PER_SECOND = 1_000;

/** Of one call; what it holds is decoded right after it. */
const address = new Memory(SOCKADDR_BYTES);

/** What every TCP socket of ours is: without delay, and probed when silent. Accepted ones have it of their listener. */
export function prepareTcp(calls: Syscalls, fd: number): void {
  calls.setInt(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  calls.setInt(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  calls.setInt(fd, IPPROTO_TCP, TCP_KEEPIDLE, TUNNEL.tcpKeepAliveMs / MS_PER_SECOND);
}

/** The own end of a connected socket. */
export function localEnd(calls: Syscalls): (fd: number) => Endpoint {
  return (fd) => (calls.localAddress(fd, address) < 0 ? NOWHERE : endpointOf(address.buffer));
}

function endpointOf(sockaddr: Buffer): Endpoint {
  const end = decodeSockaddr(sockaddr);
  return end.ip.startsWith('fe80:') ? NOWHERE : end;
}

/** Accepts on a descriptor, which is its own. */
export class CoreListener implements Listener, Watcher {
  readonly fd: number;
  readonly port: number;
  readonly #host: ConnectionHost;
  readonly #clock: Clock;
  readonly #accept: (stream: ByteStream) => void;
  readonly #local: (fd: number) => Endpoint;
  #watch: Watch | null = null;
  #closed = false;

  constructor(host: ConnectionHost, clock: Clock, fd: number, accept: (stream: ByteStream) => void) {
    const { calls } = host.loop;
    this.#host = host;
    this.#clock = clock;
    this.#accept = accept;
    this.#local = localEnd(calls);
    this.fd = fd;
    prepareTcp(calls, fd);
    const failed = calls.listen(fd, TUNNEL.acceptBacklogMax);
    if (failed < 0) this.#report('listen', failed);
    this.port = calls.localAddress(fd, address) < 0 ? 0 : decodeSockaddr(address.buffer).port;
    this.#begin();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#stop();
    this.#host.loop.calls.close(this.fd);
  }

  ready(): void {
    const { calls } = this.#host.loop;
    for (let at = 0; at < IO.acceptsPerTurnMax && !this.#closed; at++) {
      const fd = calls.accept(this.fd, address);
      if (fd === -ERRNO.again) return;
      if (fd >= 0) this.#take(fd);
      else if (OWN_ERRORS.has(errnoName(-fd))) {
        // It will be so for ever. The number may be somebody else's by now: it is not closed.
        this.#report('accept', fd);
        this.#stop();
        this.#closed = true;
        return;
      } else if (!isPeers(-fd)) {
        // No descriptor or no memory: asked again at once it would be the same, as often as the loop turns.
        this.#report('accept', fd);
        this.#stop();
        this.#clock.after(IO.acceptRetryMs, () => this.#begin());
        return;
      }
    }
  }

  #take(fd: number): void {
    const ends = { remote: endpointOf(address.buffer), local: this.#local };
    const stream = new Connection(this.#host, fd, new PlainChannel(this.#host.loop.calls, fd), ends);
    guard(
      this.#host.mishaps,
      'accept',
      () => this.#accept(stream),
      () => stream.reset(),
    );
  }

  #begin(): void {
    if (this.#closed || this.#watch !== null) return;
    // Several threads may wait for the same socket: one connection wakes one of them.
    const watch = this.#host.loop.watch(this.fd, READY.read | EXCLUSIVE, this);
    if (typeof watch === 'number') this.#report('watch', watch);
    else this.#watch = watch;
  }

  #stop(): void {
    if (this.#watch !== null) this.#host.loop.forget(this.#watch);
    this.#watch = null;
  }

  #report(call: string, result: number): void {
    this.#host.mishaps.report('accept', new Error(`${call} on port ${this.port}: ${errnoName(-result)}`));
  }
}

/** Errors that say that there is no listening socket (any more). */
const OWN_ERRORS: ReadonlySet<string> = new Set(['EBADF', 'ENOTSOCK', 'EINVAL', 'EFAULT']);

/** Errors that are of the connection that was to be accepted, not of the listener (accept(2)). */
const PEERS_ERRORS: ReadonlySet<string> = new Set([
  ...['ECONNABORTED', 'EINTR', 'EPROTO', 'ENETDOWN', 'ENOPROTOOPT', 'EHOSTDOWN', 'ENONET', 'EHOSTUNREACH', 'EOPNOTSUPP'],
  'ENETUNREACH',
  'EPERM',
]);

function isPeers(errno: number): boolean {
  return PEERS_ERRORS.has(errnoName(errno));
}
