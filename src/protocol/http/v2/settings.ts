import {
  DEFAULT_FRAME_BYTES_MAX,
  DEFAULT_TABLE_BYTES,
  DEFAULT_WINDOW_BYTES,
  ERROR_CODE,
  FRAME_BYTES_LIMIT,
  Http2Error,
  PREFACE,
  SETTING,
  WINDOW_BYTES_LIMIT,
} from './constants.ts';
import { settingsFrame, windowUpdateFrame } from './frame-writer.ts';

/** What we announce to a peer. */
export type Http2Settings = {
  streamWindowBytes: number;
  connectionWindowBytes: number;
  frameBytesMax: number;
  /** Streams the peer may have open; ignored by clients. */
  concurrentStreamsMax: number;
  headerListBytesMax: number;
  /** A header block on the wire; as `headerListBytesMax` unless said otherwise. */
  headerBlockBytesMax?: number;
  /** When bytes of a stream are given back to the connection's window; `on-arrival`: streams cannot hold up one another. */
  giveBack?: 'on-arrival' | 'when-taken';
  /** Up to which the window of a stream grows whose reader keeps up, and by how much those that have a bound together. */
  streamWindowBytesMax?: number;
  grownWindowsBytesMax?: number;
  /** Servers: a CONNECT with :protocol is understood (RFC 8441). */
  connectProtocol?: boolean;
};

/** What a peer announced, or the defaults of RFC 9113 section 6.5.2. */
export type PeerSettings = {
  initialWindowBytes: number;
  frameBytesMax: number;
  concurrentStreamsMax: number;
  headerTableBytes: number;
};

/** What holds until the peer has said otherwise. */
export const DEFAULT_PEER_SETTINGS: PeerSettings = {
  initialWindowBytes: DEFAULT_WINDOW_BYTES,
  frameBytesMax: DEFAULT_FRAME_BYTES_MAX,
  concurrentStreamsMax: Number.POSITIVE_INFINITY,
  headerTableBytes: DEFAULT_TABLE_BYTES,
};

/** Identifier and value. Fixed by RFC 9113 6.5.1. */
const SETTING_BYTES = 6;

/** `current` with the payload of a SETTINGS frame applied. Throws Http2Error for forbidden values. */
export function applySettings(current: PeerSettings, payload: Buffer): PeerSettings {
  if (payload.length % SETTING_BYTES !== 0) throw new Http2Error(ERROR_CODE.frameSizeError, 'SETTINGS of an odd length');
  const settings = { ...current };
  for (let at = 0; at < payload.length; at += SETTING_BYTES) {
    const value = payload.readUInt32BE(at + 2);
    switch (payload.readUInt16BE(at)) {
      case SETTING.enablePush:
        if (value > 1) throw new Http2Error(ERROR_CODE.protocolError, 'ENABLE_PUSH is neither 0 nor 1');
        break;
      case SETTING.headerTableSize:
        settings.headerTableBytes = value;
        break;
      case SETTING.concurrentStreamsMax:
        settings.concurrentStreamsMax = value;
        break;
      case SETTING.initialWindowBytes:
        if (value > WINDOW_BYTES_LIMIT) throw new Http2Error(ERROR_CODE.flowControlError, 'INITIAL_WINDOW_SIZE too large');
        settings.initialWindowBytes = value;
        break;
      case SETTING.frameBytesMax:
        if (value < DEFAULT_FRAME_BYTES_MAX || value > FRAME_BYTES_LIMIT) {
          throw new Http2Error(ERROR_CODE.protocolError, 'MAX_FRAME_SIZE out of range');
        }
        settings.frameBytesMax = value;
        break;
      // The rest is unknown and to be ignored, or advice.
    }
  }
  return settings;
}

/** What each side sends first: the preface (clients), our SETTINGS, and the connection window beyond the default. */
export function openingBytes(role: 'client' | 'server', settings: Http2Settings): Buffer {
  const own: [number, number][] =
    role === 'client' ? [[SETTING.enablePush, 0]] : [[SETTING.concurrentStreamsMax, settings.concurrentStreamsMax]];
  if (role === 'server' && settings.connectProtocol === true) own.push([SETTING.connectProtocol, 1]);
  const frame = settingsFrame([
    ...own,
    [SETTING.initialWindowBytes, settings.streamWindowBytes],
    [SETTING.frameBytesMax, settings.frameBytesMax],
    [SETTING.headerListBytesMax, settings.headerListBytesMax],
  ]);
  const widen = windowUpdateFrame(0, settings.connectionWindowBytes - DEFAULT_WINDOW_BYTES);
  return Buffer.concat(role === 'client' ? [PREFACE, frame, widen] : [frame, widen]);
}
