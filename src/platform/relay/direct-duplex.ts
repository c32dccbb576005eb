import { Duplex } from 'node:stream';

/** Takes what a DirectDuplex receives. */
export type DirectReader = {
  /** `chunk` is valid during the call only. False: not more than the stream's window until `giveBack`. */
  bytes(chunk: Buffer): void;
  /** No more bytes are at hand just now: what was gathered should be passed on. */
  flush(): void;
};

/** A byte stream that can be read and written past the stream machinery, without copies. 'end', 'error', 'close' are as ever. */
export abstract class DirectDuplex extends Duplex {
  /** Hands everything that arrives to `reader` instead of emitting 'data', starting with what is buffered. */
  abstract readInto(reader: DirectReader): void;

  /** The reader has taken `bytes`; the peer may send as many again. */
  abstract giveBack(bytes: number): void;

  /**
   * Sends `buffer[start, end)`, all of it taken before the call returns. When `start` is at least 9 the range and the
   * nine bytes before it may be overwritten. False: wait for `onWritable`. Not to be mixed with `write`; `end` works.
   */
  abstract writeFrom(buffer: Buffer, start: number, end: number): boolean;

  /** Sets what is called when more may be written after `writeFrom` has returned false. */
  abstract onWritable(ready: () => void): void;
}
