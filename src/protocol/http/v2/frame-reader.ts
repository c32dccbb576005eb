import { TUNNEL } from '#model/settings/tunnels.ts';
import { ERROR_CODE, FLAG, FRAME, FRAME_HEADER_BYTES, Http2Error, PING_PAYLOAD_BYTES, PREFACE } from './constants.ts';

/** What a reader finds in the bytes. */
export type FrameSink = {
  /**
   * A part of a DATA frame: bytes `start` to `end` of `buffer`, valid during the call only. `flowBytes` is what the part costs
   * of the flow-control windows (padding included). `endStream` is set with the frame's last part only.
   */
  data(streamId: number, buffer: Buffer, start: number, end: number, flowBytes: number, endStream: boolean): void;
  /** Any other frame of a known type, whole. `payload` is valid during the call only. */
  frame(type: number, flags: number, streamId: number, payload: Buffer): void;
};

/** No bytes. */
const EMPTY = Buffer.alloc(0);
/** Fixed by RFC 9113 6.3. */
const PRIORITY_BYTES = 5;
const CONTROL_FRAME_BYTES_MAX = TUNNEL.controlFrameBytesMax;

/**
 * Cuts a byte stream into frames. DATA is handed on as it arrives, everything else is collected first.
 * Throws Http2Error when the peer breaks the framing rules (RFC 9113 sections 3.4 and 4).
 */
export class FrameReader {
  readonly #sink: FrameSink;
  readonly #frameBytesMax: number;
  readonly #header = Buffer.alloc(FRAME_HEADER_BYTES);
  #headerBytes = 0;
  #prefaceLeft: number;
  #type = 0;
  #flags = 0;
  #streamId = 0;
  /** Payload bytes of the current frame still to come. */
  #left = 0;
  #inFrame = false;
  /** DATA: padding at the frame's end still to come; -1 while the length byte is awaited. */
  #padding = 0;
  #collected: Buffer[] = [];
  #failed = false;
  /** A header block has begun, and only CONTINUATION may follow. */
  #inBlock = false;

  constructor(sink: FrameSink, frameBytesMax: number, expectPreface: boolean) {
    this.#sink = sink;
    this.#frameBytesMax = frameBytesMax;
    this.#prefaceLeft = expectPreface ? PREFACE.length : 0;
  }

  /** Reads on, in bytes `start` to `end` of `buffer`. After it has thrown once it ignores everything. */
  receive(buffer: Buffer, start = 0, end: number = buffer.length): void {
    if (this.#failed) return;
    try {
      let at = this.#prefaceLeft > 0 ? this.#readPreface(buffer, start, end) : start;
      while (at < end) at = this.#inFrame ? this.#readPayload(buffer, at, end) : this.#readHeader(buffer, at, end);
    } catch (error) {
      this.#failed = true;
      throw error;
    }
  }

  #readPreface(buffer: Buffer, start: number, end: number): number {
    const from = PREFACE.length - this.#prefaceLeft;
    const length = Math.min(this.#prefaceLeft, end - start);
    if (buffer.compare(PREFACE, from, from + length, start, start + length) !== 0) {
      throw new Http2Error(ERROR_CODE.protocolError, 'the peer does not speak HTTP/2');
    }
    this.#prefaceLeft -= length;
    return start + length;
  }

  #readHeader(buffer: Buffer, at: number, end: number): number {
    if (this.#headerBytes === 0 && end - at >= FRAME_HEADER_BYTES) {
      this.#startFrame(buffer, at);
      return at + FRAME_HEADER_BYTES;
    }
    const length = Math.min(FRAME_HEADER_BYTES - this.#headerBytes, end - at);
    buffer.copy(this.#header, this.#headerBytes, at, at + length);
    this.#headerBytes += length;
    if (this.#headerBytes === FRAME_HEADER_BYTES) {
      this.#headerBytes = 0;
      this.#startFrame(this.#header, 0);
    }
    return at + length;
  }

  #startFrame(bytes: Buffer, at: number): void {
    const lengthAndType = bytes.readUInt32BE(at);
    this.#left = lengthAndType >>> 8;
    this.#type = lengthAndType & 0xff;
    this.#flags = bytes.readUInt8(at + 4);
    this.#streamId = bytes.readUInt32BE(at + 5) & 0x7fff_ffff;
    if (this.#left > this.#frameBytesMax) throw new Http2Error(ERROR_CODE.frameSizeError, `frame of ${this.#left} bytes`);
    this.#checkHead();
    if (this.#type === FRAME.data) {
      this.#padding = (this.#flags & FLAG.padded) !== 0 ? -1 : 0;
      if (this.#left === 0) this.#emptyData();
      else this.#inFrame = true;
      return;
    }
    if (this.#type <= FRAME.continuation && this.#left > CONTROL_FRAME_BYTES_MAX) {
      throw new Http2Error(ERROR_CODE.enhanceYourCalm, `frame of type ${this.#type} with ${this.#left} bytes`);
    }
    if (this.#left === 0) this.#deliver(EMPTY);
    else this.#inFrame = true;
  }

  /** What the head alone says of a frame's right to be there (RFC 9113 section 6). */
  #checkHead(): void {
    const onConnection = this.#streamId === 0;
    switch (this.#type) {
      case FRAME.settings:
        demand(onConnection, ERROR_CODE.protocolError, 'SETTINGS on a stream');
        demand(
          (this.#flags & FLAG.ack) === 0 || this.#left === 0,
          ERROR_CODE.frameSizeError,
          'SETTINGS that acknowledge with more',
        );
        break;
      case FRAME.ping:
      case FRAME.goaway:
        demand(onConnection, ERROR_CODE.protocolError, 'PING or GOAWAY on a stream');
        break;
      case FRAME.priority:
        demand(!onConnection, ERROR_CODE.protocolError, 'PRIORITY without a stream');
        demand(this.#left === PRIORITY_BYTES, ERROR_CODE.frameSizeError, 'PRIORITY of another size');
        break;
      case FRAME.headers:
      case FRAME.continuation:
        this.#inBlock = (this.#flags & FLAG.endHeaders) === 0;
        break;
      default:
        if (this.#type > FRAME.continuation) demand(!this.#inBlock, ERROR_CODE.protocolError, 'a header block was interrupted');
    }
  }

  #emptyData(): void {
    if (this.#padding !== 0) throw new Http2Error(ERROR_CODE.frameSizeError, 'padded frame without padding length');
    this.#sink.data(this.#streamId, EMPTY, 0, 0, 0, (this.#flags & FLAG.endStream) !== 0);
  }

  #readPayload(buffer: Buffer, at: number, stop: number): number {
    const end = Math.min(at + this.#left, stop);
    if (this.#type === FRAME.data) {
      this.#readData(buffer, at, end);
      return end;
    }
    this.#left -= end - at;
    this.#inFrame = this.#left > 0;
    // Unknown frame types are skipped, as RFC 9113 section 5.5 wants.
    if (this.#type > FRAME.continuation) return end;
    const piece = buffer.subarray(at, end);
    if (this.#inFrame) this.#collected.push(Buffer.from(piece));
    else if (this.#collected.length === 0) this.#deliver(piece);
    else {
      this.#collected.push(piece);
      const whole = Buffer.concat(this.#collected);
      this.#collected = [];
      this.#deliver(whole);
    }
    return end;
  }

  #readData(buffer: Buffer, from: number, end: number): void {
    let at = from;
    if (this.#padding < 0) {
      this.#padding = buffer.readUInt8(at);
      at++;
      this.#left--;
      if (this.#padding > this.#left) throw new Http2Error(ERROR_CODE.protocolError, 'more padding than payload');
    }
    const dataEnd = Math.min(end, at + Math.max(0, this.#left - this.#padding));
    this.#left -= end - at;
    this.#padding = Math.min(this.#padding, this.#left);
    this.#inFrame = this.#left > 0;
    const ends = !this.#inFrame && (this.#flags & FLAG.endStream) !== 0;
    this.#sink.data(this.#streamId, buffer, at, dataEnd, end - from, ends);
  }

  #deliver(payload: Buffer): void {
    if (this.#type > FRAME.continuation) return;
    this.#sink.frame(this.#type, this.#flags, this.#streamId, payload);
  }
}

function requireBytes(payload: Buffer, bytes: number, frame: string): void {
  if (payload.length !== bytes) throw new Http2Error(ERROR_CODE.frameSizeError, `${frame} is not ${bytes} bytes`);
}

/** Throws Http2Error unless the rule is kept. */
export function demand(kept: boolean, errorCode: number, violation: string): void {
  if (!kept) throw new Http2Error(errorCode, violation);
}

/** The error code of RST_STREAM. Throws Http2Error, as all of these. */
export function readErrorCode(payload: Buffer): number {
  requireBytes(payload, 4, 'RST_STREAM');
  return payload.readUInt32BE(0);
}

/** The bytes that WINDOW_UPDATE adds. */
export function readIncrement(payload: Buffer): number {
  requireBytes(payload, 4, 'WINDOW_UPDATE');
  const bytes = payload.readUInt32BE(0) & 0x7fff_ffff;
  if (bytes === 0) throw new Http2Error(ERROR_CODE.protocolError, 'WINDOW_UPDATE of 0 bytes');
  return bytes;
}

/** A stream cannot depend on itself (RFC 9113 5.3 ignores priorities otherwise); `payload` begins with the one it depends on. */
export function requireOther(streamId: number, payload: Buffer): void {
  const parent = payload.readUInt32BE(0) & 0x7fff_ffff;
  if (parent === streamId) throw new Http2Error(ERROR_CODE.protocolError, 'a stream that depends on itself');
}

/** Checks the payload of PING. */
export function requirePing(payload: Buffer): void {
  requireBytes(payload, PING_PAYLOAD_BYTES, 'PING');
}

/** `lastStreamId`: later streams were not and will not be served. */
export function readGoaway(payload: Buffer): { lastStreamId: number; errorCode: number } {
  if (payload.length < 8) throw new Http2Error(ERROR_CODE.frameSizeError, 'GOAWAY is cut short');
  return { lastStreamId: payload.readUInt32BE(0) & 0x7fff_ffff, errorCode: payload.readUInt32BE(4) };
}
