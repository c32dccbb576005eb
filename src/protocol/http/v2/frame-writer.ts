import { FLAG, FRAME, FRAME_HEADER_BYTES, PING_PAYLOAD_BYTES } from './constants.ts';

/** Writes the nine bytes of a frame header at `offset`. `lengthBytes` counts the payload only. */
export function writeFrameHeader(
  target: Buffer,
  offset: number,
  lengthBytes: number,
  type: number,
  flags: number,
  streamId: number,
): void {
  target[offset] = (lengthBytes >>> 16) & 0xff;
  target[offset + 1] = (lengthBytes >>> 8) & 0xff;
  target[offset + 2] = lengthBytes & 0xff;
  target[offset + 3] = type;
  target[offset + 4] = flags;
  target[offset + 5] = (streamId >>> 24) & 0x7f;
  target[offset + 6] = (streamId >>> 16) & 0xff;
  target[offset + 7] = (streamId >>> 8) & 0xff;
  target[offset + 8] = streamId & 0xff;
}

function frame(type: number, flags: number, streamId: number, payloadBytes: number): Buffer {
  const bytes = Buffer.allocUnsafe(FRAME_HEADER_BYTES + payloadBytes);
  writeFrameHeader(bytes, 0, payloadBytes, type, flags, streamId);
  return bytes;
}

/** A SETTINGS frame of (identifier, value) pairs. */
export function settingsFrame(pairs: readonly (readonly [number, number])[]): Buffer {
  const bytes = frame(FRAME.settings, 0, 0, pairs.length * 6);
  let at = FRAME_HEADER_BYTES;
  for (const [identifier, value] of pairs) {
    bytes.writeUInt16BE(identifier, at);
    bytes.writeUInt32BE(value, at + 2);
    at += 6;
  }
  return bytes;
}

/** Says that the peer's settings are in force. */
export function settingsAckFrame(): Buffer {
  return frame(FRAME.settings, FLAG.ack, 0, 0);
}

/** `payload` is exactly eight bytes. */
export function pingFrame(payload: Uint8Array, ack: boolean): Buffer {
  const bytes = frame(FRAME.ping, ack ? FLAG.ack : 0, 0, PING_PAYLOAD_BYTES);
  bytes.set(payload, FRAME_HEADER_BYTES);
  return bytes;
}

/** `reason` is for the peer's logs. */
export function goawayFrame(lastStreamId: number, errorCode: number, reason: string): Buffer {
  const text = Buffer.from(reason, 'utf8');
  const bytes = frame(FRAME.goaway, 0, 0, 8 + text.length);
  bytes.writeUInt32BE(lastStreamId, FRAME_HEADER_BYTES);
  bytes.writeUInt32BE(errorCode, FRAME_HEADER_BYTES + 4);
  bytes.set(text, FRAME_HEADER_BYTES + 8);
  return bytes;
}

/** Cuts a stream. */
export function rstStreamFrame(streamId: number, errorCode: number): Buffer {
  const bytes = frame(FRAME.rstStream, 0, streamId, 4);
  bytes.writeUInt32BE(errorCode, FRAME_HEADER_BYTES);
  return bytes;
}

/** `streamId` 0 is the connection's window. */
export function windowUpdateFrame(streamId: number, incrementBytes: number): Buffer {
  const bytes = frame(FRAME.windowUpdate, 0, streamId, 4);
  bytes.writeUInt32BE(incrementBytes, FRAME_HEADER_BYTES);
  return bytes;
}

/** An empty DATA frame that ends our direction of a stream. */
export function endStreamFrame(streamId: number): Buffer {
  return frame(FRAME.data, FLAG.endStream, streamId, 0);
}

/** HEADERS, followed by as many CONTINUATION frames as the peer's frame limit asks for. */
export function headersFrames(streamId: number, block: Uint8Array, endStream: boolean, frameBytesMax: number): Buffer {
  const parts: Uint8Array[] = [];
  let at = 0;
  do {
    const piece = block.subarray(at, at + frameBytesMax);
    const flags = (at === 0 && endStream ? FLAG.endStream : 0) | (at + piece.length === block.length ? FLAG.endHeaders : 0);
    const header = Buffer.allocUnsafe(FRAME_HEADER_BYTES);
    writeFrameHeader(header, 0, piece.length, at === 0 ? FRAME.headers : FRAME.continuation, flags, streamId);
    parts.push(header, piece);
    at += piece.length;
  } while (at < block.length);
  return Buffer.concat(parts);
}

/** Several frames are put together in here, so that small frame limits do not cost one write each. */
export const DATA_FRAMES = Buffer.allocUnsafeSlow(256 * 1024);

/** A part of a stream's bytes. `endAt`: the place after the last byte of its direction; -1: elsewhere. */
export type DataPart = { readonly start: number; readonly bytes: number; readonly endAt: number };

/** Copies a part into DATA_FRAMES, as much of it as there is room for; how many of its bytes, and how much of that they fill. */
export function writeDataFrames(
  streamId: number,
  from: Buffer,
  { start, bytes, endAt }: DataPart,
  frameBytesMax: number,
): { sent: number; filled: number } {
  let sent = 0;
  let filled = 0;
  while (sent < bytes && filled + FRAME_HEADER_BYTES < DATA_FRAMES.length) {
    const piece = Math.min(bytes - sent, frameBytesMax, DATA_FRAMES.length - filled - FRAME_HEADER_BYTES);
    const flags = start + sent + piece === endAt ? FLAG.endStream : 0;
    writeFrameHeader(DATA_FRAMES, filled, piece, FRAME.data, flags, streamId);
    from.copy(DATA_FRAMES, filled + FRAME_HEADER_BYTES, start + sent, start + sent + piece);
    filled += FRAME_HEADER_BYTES + piece;
    sent += piece;
  }
  return { sent, filled };
}

/** DATA that windows or transport have not let out: from `at` on. */
export type Pending = { readonly buffer: Buffer; at: number; readonly end: number };

/** Copies `buffer[at, end)`, with room before it for a frame header. */
export function pendingOf(buffer: Buffer, at: number, end: number): Pending {
  const copy = Buffer.allocUnsafe(FRAME_HEADER_BYTES + end - at);
  buffer.copy(copy, FRAME_HEADER_BYTES, at, end);
  return { buffer: copy, at: FRAME_HEADER_BYTES, end: copy.length };
}

/** How many bytes wait. */
export function pendingBytes(pieces: readonly Pending[]): number {
  return pieces.reduce((sum, { at, end }) => sum + end - at, 0);
}
