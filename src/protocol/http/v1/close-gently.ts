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

/** What an engine hears of its stream. */
export type StreamListeners = {
  data(chunk: Buffer): void;
  end(): void;
  /** After an error, too, and then maybe twice. */
  close(): void;
  drain(): void;
};

/** Hears of everything that happens on a stream; an error is told as the close that follows it. */
export function listenTo(stream: Duplex, listeners: StreamListeners): void {
  stream.on('data', listeners.data);
  stream.on('end', listeners.end);
  stream.on('error', listeners.close);
  stream.on('close', listeners.close);
  stream.on('drain', listeners.drain);
}
