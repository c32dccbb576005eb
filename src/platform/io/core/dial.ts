import type { Dialled, Endpoint } from '#model/effects/byte-stream.ts';
import type { Cancel, Clock } from '#model/effects/clock.ts';
import { ERRNO, errnoName } from '#platform/ffi/libc.ts';
import { encodeSockaddr } from '#platform/ffi/sockaddr.ts';
import { PlainChannel } from './channel.ts';
import { Connection, type ConnectionHost } from './connection.ts';
import { localEnd, prepareTcp } from './listener.ts';
import { READY, type Watch, type Watcher } from './loop.ts';

/** Connects a descriptor within a time; it is closed unless the outcome is `open`. */
export function dial(host: ConnectionHost, clock: Clock, fd: number, to: Endpoint, deadlineMs: number): Promise<Dialled> {
  return new Promise((resolve) => new Dial(host, fd, to, resolve).start(clock, deadlineMs));
}

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
    prepareTcp(loop.calls, this.#fd);
    const address = encodeSockaddr(this.#to.ip, this.#to.port);
    let result = loop.calls.connect(this.#fd, address);
    // An app on this host has answered before the call is back, which cannot say so: asked again it does, and no event is waited for.
    if (result === -ERRNO.inProgress) result = loop.calls.connect(this.#fd, address);
    if (result === 0) {
      this.#open();
      return;
    }
    if (result !== -ERRNO.inProgress && result !== -ERRNO.already && result !== -ERRNO.interrupted) {
      this.#fail(-result);
      return;
    }
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
    this.#open();
  }

  #open(): void {
    const { calls } = this.#host.loop;
    const ends = { remote: this.#to, local: localEnd(calls) };
    const stream = new Connection(this.#host, this.#fd, new PlainChannel(calls, this.#fd), ends);
    this.#settled = true;
    this.#resolve({ kind: 'open', stream });
  }

  #fail(errno: number): void {
    const code = errnoName(errno);
    if (errno === ERRNO.refused) this.#settle({ kind: 'refused', code });
    else if (errno === ERRNO.timedOut) this.#settle({ kind: 'deadline' });
    else this.#settle({ kind: 'failed', code, error: new Error(`connect ${code} ${this.#to.ip}:${this.#to.port}`) });
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
