import type { Clock } from '#model/effects/clock.ts';
import { IO } from '#model/settings/io.ts';
import { ERRNO } from '#platform/ffi/libc.ts';
import { type Loop, READY, type Watch, type Watcher } from './loop.ts';

/** What connections that linger share. */
export type LingerHost = {
  readonly loop: Loop;
  readonly clock: Clock;
  /** Those that are closed, as far as anybody else knows, while their peers still hear our last word. */
  readonly lingering: Set<object>;
};

/**
 * Closes a descriptor on which our last word, a TLS alert, is under way: closed while the peer still sends, the kernel answers with a
 * reset, and the peer reads that in place of why it was refused. Our direction ends now; what comes is dropped until the peer ends, too.
 * Bounded in time, in bytes and in number; beyond that it is closed at once.
 */
export function closeLingering(host: LingerHost, fd: number): void {
  const { calls } = host.loop;
  if (host.lingering.size >= IO.lingeringMax || calls.shutdownWrite(fd) < 0) calls.close(fd);
  else new Lingering(host, fd).begin();
}

class Lingering implements Watcher {
  readonly #host: LingerHost;
  readonly #fd: number;
  #left = IO.lingerBytesMax;
  #watch: Watch | null = null;
  #cancel = (): void => {};

  constructor(host: LingerHost, fd: number) {
    this.#host = host;
    this.#fd = fd;
  }

  begin(): void {
    const watch = this.#host.loop.watch(this.#fd, READY.read, this);
    if (typeof watch === 'number') {
      this.#host.loop.calls.close(this.#fd);
      return;
    }
    this.#watch = watch;
    this.#host.lingering.add(this);
    this.#cancel = this.#host.clock.after(IO.lingerMs, () => this.#close());
  }

  ready(): void {
    const { calls, input } = this.#host.loop;
    const count = calls.recv(this.#fd, input, 0, input.length);
    if (count === -ERRNO.again || count === -ERRNO.interrupted) return;
    this.#left -= count;
    if (count <= 0 || this.#left <= 0) this.#close();
  }

  #close(): void {
    if (this.#watch === null) return;
    this.#cancel();
    this.#host.loop.forget(this.#watch);
    this.#watch = null;
    this.#host.lingering.delete(this);
    this.#host.loop.calls.close(this.#fd);
  }
}
