import type { Writable } from 'node:stream';
import { Metadata, type ServerDuplexStream } from '@grpc/grpc-js';

/** Flag (not compressed) and length before each message. Fixed by the gRPC protocol. */
const PREFIX_BYTES = 5;

/** Writes one message; `taken`: the transport has it, within the client's window. */
export type WriteMessage = (parts: readonly Buffer[], taken: () => void) => void;

/**
 * Writes messages that are bytes in several parts, some of which are shared by many clients. The library would copy each
 * message for each client into memory outside the heap, and V8 collects all of the heap once for every 64 MiB of that: at
 * 10,000 workloads half of what a new client cost. So they go to the HTTP/2 stream below the call, where the library keeps it;
 * should a later version keep it elsewhere, the parts are joined and copied.
 */
export function messageWriter(call: ServerDuplexStream<unknown, Buffer>): WriteMessage {
  const stream = http2StreamOf(call);
  if (stream === null) {
    return (parts, taken) => {
      call.write(Buffer.concat(parts), unlessFailed(taken));
    };
  }
  let isOpen = false;
  return (parts, taken) => {
    if (!isOpen) call.sendMetadata(new Metadata());
    isOpen = true;
    if (stream.destroyed || stream.writableEnded) return;
    const prefix = Buffer.allocUnsafe(PREFIX_BYTES);
    prefix[0] = 0;
    prefix.writeUInt32BE(
      parts.reduce((sum, part) => sum + part.length, 0),
      1,
    );
    stream.cork();
    stream.write(prefix);
    for (const part of parts.slice(0, -1)) stream.write(part);
    stream.write(parts.at(-1) ?? NOTHING, unlessFailed(taken));
    stream.uncork();
  };
}

const NOTHING = Buffer.alloc(0);

/** A call that failed tells of its end by other ways. */
function unlessFailed(taken: () => void): (error: Error | null | undefined) => void {
  return (error) => {
    if (error === null || error === undefined) taken();
  };
}

/** What the library writes a call's messages to; null: not where it is known to be. */
export function http2StreamOf(call: object): Writable | null {
  for (let inner = field(call, 'call'); inner !== null; inner = field(inner, 'nextCall')) {
    const stream = field(inner, 'stream');
    if (stream !== null && 'cork' in stream && 'respond' in stream) return stream as Writable & { respond: unknown };
  }
  return null;
}

function field(of: object, name: string): object | null {
  const value: unknown = Reflect.get(of, name);
  return typeof value === 'object' ? value : null;
}
