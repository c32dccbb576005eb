import { IO } from '#model/settings/io.ts';
import { FRAME_HEADER_BYTES } from '#protocol/http/v2/constants.ts';

const READ_BYTES = IO.readBytes;

/**
 * The one buffer that plain sockets are read into: their bytes are passed on, or copied, before the next read.
 * The room in front is for an HTTP/2 frame header, so that a chunk becomes a frame in place.
 */
export const READ_BUFFER = Buffer.allocUnsafeSlow(FRAME_HEADER_BYTES + READ_BYTES);
export const READ_START = FRAME_HEADER_BYTES;
/** The part of READ_BUFFER that is read into. */
export const READ_AREA = READ_BUFFER.subarray(READ_START);

/** Passes `chunk` on by way of READ_BUFFER, for sources that make buffers of their own. False when the reader said so. */
export function passCopied(chunk: Buffer, bytes: (buffer: Buffer, start: number, end: number) => boolean): boolean {
  let more = true;
  for (let at = 0; at < chunk.length; at += READ_AREA.length) {
    const length = chunk.copy(READ_AREA, 0, at);
    more = bytes(READ_BUFFER, READ_START, READ_START + length) && more;
  }
  return more;
}
