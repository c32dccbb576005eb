import type { Dialled, Endpoint } from '#model/effects/byte-stream.ts';
import type { Cancel, Clock } from '#model/effects/clock.ts';
import { ERRNO, errnoName } from '#platform/ffi/libc.ts';
import { sockaddrOnce } from '#platform/ffi/sockaddr.ts';
import { PlainChannel } from './channel.ts';
import { Connection, type ConnectionHost } from './connection.ts';
import { localEnd, prepareTcp } from './listener.ts';
import { READY, type Watch, type Watcher } from './loop.ts';

/** Connects a descriptor within a time; it is closed unless the outcome is `open`. Without a promise when it is known at once. */
export function dial(
  host: ConnectionHost,
  clock: Clock,
  fd: number,
  to: Endpoint,
  deadlineMs: number,
): Dialled | Promise<Dialled> {
  const { calls } = host.loop;
  prepareTcp(calls, fd);
  const address = sockaddrOnce(to.ip, to.port);
  let result = calls.connect(fd, address);
  // An app on this host has answered before the call is back, which cannot say so: asked again it does, and no event is waited for.
  if (result === -ERRNO.inProgress) result = calls.connect(fd, address);
  if (result === 0) return opened(host, fd, to);
  if (result !== -ERRNO.inProgress && result !== -ERRNO.already && result !== -ERRNO.interrupted) {
    calls.close(fd);
    return failed(to, -result);
  }
  return new Promise((resolve) => new Dial(host, fd, to, resolve).start(clock, deadlineMs));
}

function opened(host: ConnectionHost, fd: number, to: Endpoint): Dialled {
  const { calls } = host.loop;
  const ends = { remote: to, local: localEnd(calls) };
  return { kind: 'open', stream: new Connection(host, fd, new PlainChannel(calls, fd), ends) };
}

function failed(to: Endpoint, errno: number): Dialled {
  const code = errnoName(errno);
  if (errno === ERRNO.refused) return { kind: 'refused', code };
  if (errno === ERRNO.timedOut) return { kind: 'deadline' };
  return { kind: 'failed', code, error: new Error(`connect ${code} ${to.ip}:${to.port}`) };
}

/** One whose outcome the descriptor tells. */
class Dial implements Watcher {
  readonly #host: ConnectionHost;
  readonly #fd: number;
  readonly #to: Endpoint;
  readonly #resolve: (dialled: Dialled) => void;
  #watch: Watch | null = null;
  #cancel: Cancel = () => {};
  #settled = false;

  constructor(host: ConnectionHost, fd: number, to: Endpoint, resolve: (dialled: Dialled) => void) {
    this.#host = host;
    this.#fd = fd;
    this.#to = to;
    this.#resolve = resolve;
  }

  start(clock: Clock, deadlineMs: number): void {
    const { loop } = this.#host;
    const watch = loop.watch(this.#fd, READY.write, this);
    if (typeof watch === 'number') {
      this.#fail(-watch);
      return;
    }
    this.#watch = watch;
    this.#cancel = clock.after(deadlineMs, () => this.#settle({ kind: 'deadline' }));
  }

  ready(): void {
    const { loop } = this.#host;
    const errno = loop.calls.takeError(this.#fd);
    if (errno !== 0) {
      this.#fail(errno);
      return;
    }
    this.#stop();
    this.#settled = true;
    this.#resolve(opened(this.#host, this.#fd, this.#to));
  }

  #fail(errno: number): void {
    this.#settle(failed(this.#to, errno));
  }

  #settle(dialled: Dialled): void {
    if (this.#settled) return;
    this.#settled = true;
    this.#stop();
    this.#host.loop.calls.close(this.#fd);
    this.#resolve(dialled);
  }

  #stop(): void {
    this.#cancel();
    if (this.#watch !== null) this.#host.loop.forget(this.#watch);
    this.#watch = null;
  }
}
