import { TUNNEL } from '#model/settings/tunnels.ts';
import { STREAM_ID_MAX } from './constants.ts';

/**
 * Streams that we ended before the peer had: what it sent before it heard of that is no fault, and is ignored. On a stream that
 * the peer has ended itself nothing may follow (RFC 9113 5.1).
 */
export class CutStreams {
  #ids: Set<number> | null = null;
  /** Of streams up to here it is not known any more. */
  #forgotten: number;

  /** A client ignores whatever a server sends late: nothing is remembered for it. */
  constructor(role: 'client' | 'server') {
    this.#forgotten = role === 'client' ? STREAM_ID_MAX : 0;
  }

  /** We have ended it; the peer has not. */
  add(streamId: number): void {
    if (streamId <= this.#forgotten) return;
    this.#ids ??= new Set();
    this.#ids.add(streamId);
    if (this.#ids.size <= TUNNEL.cutStreamsMax) return;
    const [oldest = 0] = this.#ids;
    this.#ids.delete(oldest);
    this.#forgotten = Math.max(this.#forgotten, oldest);
  }

  /** Whether a frame may still come on it. `last`: none may after this one. */
  hears(streamId: number, last: boolean): boolean {
    if (streamId <= this.#forgotten) return true;
    return (last ? this.#ids?.delete(streamId) : this.#ids?.has(streamId)) === true;
  }
}
