import { TUNNEL } from '#model/settings/tunnels.ts';
import { ERROR_CODE, FLAG, FRAME_HEADER_BYTES, Http2Error } from './constants.ts';
import type { Field } from './field.ts';
import { requireOther } from './frame-reader.ts';
import { HpackDecoder } from './hpack-decoder.ts';

/** Fixed by RFC 9113 6.2. */
const PRIORITY_BYTES = 5;

/**
 * A whole, decoded header block; `fields` null: more than the list may hold. `ended` when END_STREAM came with it. `bytes`: of its
 * frames.
 */
export type HeaderBlock = { streamId: number; fields: Field[] | null; ended: boolean; bytes: number };

/** Puts HEADERS and CONTINUATION frames together and decodes them. */
export class HeaderBlocks {
  readonly #decoder: HpackDecoder;
  readonly #blockBytesMax: number;
  #open: { streamId: number; ended: boolean; parts: Buffer[]; bytes: number } | null = null;

  /** What a list may hold, and what a block may have on the wire. */
  constructor(headerListBytesMax: number, blockBytesMax: number) {
    this.#decoder = new HpackDecoder(headerListBytesMax);
    this.#blockBytesMax = blockBytesMax;
  }

  /** True while only CONTINUATION may follow. */
  get open(): boolean {
    return this.#open !== null;
  }

  /** A HEADERS frame: the block when it is whole, else null. Throws Http2Error. */
  start(flags: number, streamId: number, payload: Buffer): HeaderBlock | null {
    const body = stripPadding(flags, payload);
    const fragment = (flags & FLAG.priority) !== 0 ? withoutPriority(streamId, body) : body;
    const ended = (flags & FLAG.endStream) !== 0;
    // Nearly every block comes in one frame, and is read where it lies.
    if ((flags & FLAG.endHeaders) !== 0 && fragment.length <= this.#blockBytesMax)
      return { streamId, ended, fields: this.#decoder.decode(fragment), bytes: FRAME_HEADER_BYTES + payload.length };
    this.#open = { streamId, ended, parts: [], bytes: 0 };
    return this.#append(flags, fragment);
  }

  /** A CONTINUATION frame: the block when it is whole, else null. Throws Http2Error. */
  proceed(flags: number, streamId: number, payload: Buffer): HeaderBlock | null {
    if (this.#open?.streamId !== streamId) throw new Http2Error(ERROR_CODE.protocolError, 'CONTINUATION without HEADERS');
    return this.#append(flags, payload);
  }

  #append(flags: number, fragment: Buffer): HeaderBlock | null {
    const open = this.#open;
    if (open === null) return null;
    open.bytes += fragment.length;
    if (open.bytes > this.#blockBytesMax || open.parts.length > TUNNEL.continuationsMax) {
      throw new Http2Error(ERROR_CODE.enhanceYourCalm, 'header block too large');
    }
    open.parts.push(Buffer.from(fragment));
    if ((flags & FLAG.endHeaders) === 0) return null;
    this.#open = null;
    const bytes = open.bytes + FRAME_HEADER_BYTES * open.parts.length;
    return { streamId: open.streamId, ended: open.ended, fields: this.#decoder.decode(Buffer.concat(open.parts)), bytes };
  }
}

function stripPadding(flags: number, payload: Buffer): Buffer {
  if ((flags & FLAG.padded) === 0) return payload;
  const padding = payload[0] ?? payload.length;
  if (padding >= payload.length) throw new Http2Error(ERROR_CODE.protocolError, 'more padding than payload');
  return payload.subarray(1, payload.length - padding);
}

function withoutPriority(streamId: number, body: Buffer): Buffer {
  if (body.length < PRIORITY_BYTES) throw new Http2Error(ERROR_CODE.frameSizeError, 'HEADERS cut short');
  requireOther(streamId, body);
  return body.subarray(PRIORITY_BYTES);
}
