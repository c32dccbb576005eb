import { closeSync } from 'node:fs';
import { familyOf, type IpAddress } from '#model/address/ip.ts';
import type { ByteStream, Dialled, Endpoint } from '#model/effects/byte-stream.ts';
import { type Numbered, NumberTable } from '#model/effects/number-table.ts';
import { WeftError } from '#model/error.ts';
import type { DatapathMaps } from '#platform/bpf/pins.ts';
import type { Io } from '#platform/io/io.ts';
import { boundSilence, type Place, tcpSocketIn, unboundTcpSocketIn } from './sockets.ts';

/** The maps that dials from inside a workload's namespace need. */
export type DialMaps = Pick<DatapathMaps, 'ownSockets' | 'peers'>;

/** A dial to an app whose client is written down. `id`: the port of its own end. */
class Presented implements Numbered<Presented> {
  readonly id: number;
  readonly key: { readonly netnsCookie: bigint; readonly ip: IpAddress; readonly port: number };
  next: Presented | null = null;

  constructor(key: Presented['key']) {
    this.id = key.port;
    this.key = key;
  }
}

/**
 * A workload's network namespace for one that carries its connections: accepts on sockets that it was given, and dials. It has
 * descriptors of its own, so that nobody else can close them under it; every socket is marked, as those of WorkloadNamespace.
 */
export class CarriedNamespace {
  readonly #netnsCookie: bigint;
  /** -1: closed. */
  #fd: number;
  /** Dials to apps whose client is written down, by their own end. */
  readonly #presented = new NumberTable<Presented>();
  readonly #maps: DialMaps;
  readonly #io: Io;

  /** Owns the descriptor `netnsFd`. */
  constructor(netnsFd: number, netnsCookie: bigint, maps: DialMaps, io: Io) {
    this.#fd = netnsFd;
    this.#netnsCookie = netnsCookie;
    this.#maps = maps;
    this.#io = io;
  }

  accept(fd: number, onConnection: (stream: ByteStream) => void): { close(): void } {
    return this.#io.listen(fd, onConnection);
  }

  async dial(ip: IpAddress, port: number, deadlineMs: number): Promise<Dialled> {
    const fd = unboundTcpSocketIn(this.#openFd, familyOf(ip));
    this.#mark(fd);
    return this.#io.connect(fd, { ip, port }, deadlineMs);
  }

  async dialPeer(ip: IpAddress, port: number, deadlineMs: number): Promise<Dialled> {
    const fd = unboundTcpSocketIn(this.#openFd, familyOf(ip));
    this.#mark(fd);
    boundSilence(fd);
    return this.#io.connect(fd, { ip, port }, deadlineMs);
  }

  dialApp(ip: IpAddress, port: number, client: Endpoint, deadlineMs: number): Dialled | Promise<Dialled> {
    const bound = tcpSocketIn(this.#place, ip);
    const mine = new Presented({ netnsCookie: this.#netnsCookie, ip: bound.ip, port: bound.port });
    // The kernel moves the entry to the accepted socket. It does not where none comes to be (a client that resets before a
    // listener that defers accepts): the entry ends with the dial then, unless the port has another by now.
    const forget = (): void => {
      const isLast = this.#lastAt(mine) === mine;
      if (this.#presented.delete(mine) && isLast) this.#maps.peers.delete(mine.key);
    };
    this.#maps.peers.set(mine.key, client); // before the connect
    this.#presented.add(mine);
    const known = (dialled: Dialled): Dialled => {
      if (dialled.kind === 'open') dialled.stream.onOver(forget);
      else forget();
      return dialled;
    };
    const dialling = this.#io.connect(bound.fd, { ip, port }, deadlineMs);
    return dialling instanceof Promise ? dialling.then(known) : known(dialling);
  }

  close(): void {
    for (const presented of this.#presented.all()) {
      this.#presented.delete(presented);
      this.#maps.peers.delete(presented.key);
    }
    closeSync(this.#openFd);
    this.#fd = -1;
  }

  /** The number of a closed handle may by now be another workload's namespace, in which no socket must be made. */
  get #openFd(): number {
    if (this.#fd >= 0) return this.#fd;
    throw new WeftError('WEFT_NETNS', 'the network namespace was let go', { remedy: 'the workload has ended' });
  }

  get #place(): Place {
    return { netnsFd: this.#openFd, mark: (fd) => this.#mark(fd) };
  }

  /** Who is written down now with the own end of this one. */
  #lastAt({ key }: Presented): Presented | null {
    let at = this.#presented.get(key.port);
    while (at !== null && at.key.ip !== key.ip) at = this.#presented.before(at);
    return at;
  }

  #mark(fd: number): void {
    this.#maps.ownSockets.set(fd, 1);
  }
}
