import { ERROR_CODE, Http2Error, PING_PAYLOAD_BYTES } from './constants.ts';

function requireBytes(payload: Buffer, bytes: number, frame: string): void {
  if (payload.length !== bytes) throw new Http2Error(ERROR_CODE.frameSizeError, `${frame} is not ${bytes} bytes`);
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

/** Checks the payload of PING. */
export function requirePing(payload: Buffer): void {
  requireBytes(payload, PING_PAYLOAD_BYTES, 'PING');
}

/** `lastStreamId`: later streams were not and will not be served. */
export function readGoaway(payload: Buffer): { lastStreamId: number; errorCode: number } {
  if (payload.length < 8) throw new Http2Error(ERROR_CODE.frameSizeError, 'GOAWAY is cut short');
  return { lastStreamId: payload.readUInt32BE(0) & 0x7fff_ffff, errorCode: payload.readUInt32BE(4) };
}
