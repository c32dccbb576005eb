import { HEADER_BYTES } from '#protocol/dns/wire.ts';

/** What one chunk of a stream completed. */
export type FrameReading =
  | { kind: 'messages'; messages: readonly Buffer[] }
  /** A message shorter than a header or longer than allowed: the stream cannot be followed further. */
  | { kind: 'broken'; why: string };

/** Cuts a TCP stream into DNS messages. It holds at most one incomplete message. */
export type FrameReader = { push(chunk: Buffer): FrameReading };

/** The length in front of each message. Fixed by RFC 1035 4.2.2. */
const PREFIX_BYTES = 2;

/** `messageBytesMax`: longer messages break the stream. Source: RFC 1035 section 4.2.2, RFC 7766. */
export function createFrameReader(messageBytesMax: number): FrameReader {
  let pending: Buffer = Buffer.alloc(0);
  return {
    push(chunk) {
      pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk]);
      const messages: Buffer[] = [];
      while (pending.length >= PREFIX_BYTES) {
        const lengthBytes = pending.readUInt16BE(0);
        if (lengthBytes < HEADER_BYTES || lengthBytes > messageBytesMax) {
          return { kind: 'broken', why: `a message of ${lengthBytes} bytes` };
        }
        if (pending.length < PREFIX_BYTES + lengthBytes) break;
        messages.push(pending.subarray(PREFIX_BYTES, PREFIX_BYTES + lengthBytes));
        pending = pending.subarray(PREFIX_BYTES + lengthBytes);
      }
      pending = Buffer.from(pending); // lets go of the chunk it was cut from
      return { kind: 'messages', messages };
    },
  };
}

/** A message with its length in front. It must not be longer than 65,535 bytes. */
export function frameMessage(message: Buffer): Buffer {
  const prefix = Buffer.alloc(PREFIX_BYTES);
  prefix.writeUInt16BE(message.length, 0);
  return Buffer.concat([prefix, message]);
}
