/** Takes what a relay end receives. */
export type EndReader = {
  /** Done with the bytes when it returns; they and the bytes before `start` may be overwritten. False: wait for `resume`. */
  bytes(buffer: Buffer, start: number, end: number): boolean;
  /** No more bytes are at hand just now. */
  flush(): void;
};

/** One side of a relay: reads and writes borrowed bytes. */
export type RelayEnd = {
  /** Starts reading. */
  read(reader: EndReader): void;
  /** Reads on after the reader has returned false. */
  resume(): void;
  /** Takes the bytes before it returns, but may keep them until `flush`. False: wait for `onReady`. */
  write(buffer: Buffer, start: number, end: number): boolean;
  flush(): void;
  onReady(ready: () => void): void;
  /** Ends this direction after everything written. */
  end(): void;
  /** Cuts both directions; with an error the peer sees a reset rather than an end. */
  abort(error: Error | null): void;
};
