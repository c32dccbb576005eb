import type { Duplex } from 'node:stream';
import type { Clock } from '#model/effects/clock.ts';
import { HTTP } from '#model/settings/http.ts';

/**
 * Ends a stream so that the peer can still read all that was written: what the peer sends meanwhile is discarded
 * (unread bytes would turn the close into a reset), and the stream goes when the peer closes too, or HTTP.lingerMs
 * after the last byte left.
 */
export function closeGently(stream: Duplex, clock: Clock): void {
  const destroy = (): void => {
    stream.destroy();
  };
  const onFlushed = (): void => {
    if (stream.readableEnded) {
      destroy();
      return;
    }
    const cancel = clock.after(HTTP.lingerMs, destroy);
    stream.once('end', destroy);
    stream.once('close', cancel);
  };
  stream.resume();
  stream.end(onFlushed);
}
