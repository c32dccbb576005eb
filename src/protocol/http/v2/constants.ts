// Fixed by RFC 9113 (HTTP/2): what is in this file cannot be chosen.

/** Frame types. */
export const FRAME = {
  data: 0,
  headers: 1,
  priority: 2,
  rstStream: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

/** Bits of a frame header; their meaning depends on the frame type. */
export const FLAG = { ack: 0x1, endStream: 0x1, endHeaders: 0x4, padded: 0x8, priority: 0x20 } as const;

/** Codes of RST_STREAM and GOAWAY. */
export const ERROR_CODE = {
  noError: 0,
  protocolError: 1,
  internalError: 2,
  flowControlError: 3,
  settingsTimeout: 4,
  streamClosed: 5,
  frameSizeError: 6,
  refusedStream: 7,
  cancel: 8,
  compressionError: 9,
  connectError: 10,
  enhanceYourCalm: 11,
} as const;

/** Identifiers of settings. */
export const SETTING = {
  headerTableSize: 1,
  enablePush: 2,
  concurrentStreamsMax: 3,
  initialWindowBytes: 4,
  frameBytesMax: 5,
  headerListBytesMax: 6,
  /** RFC 8441 3: an extended CONNECT is understood. */
  connectProtocol: 8,
} as const;

/** Length, type, flags and stream identifier. */
export const FRAME_HEADER_BYTES = 9;
/** What a peer may send before it has seen our settings, and the least that a peer may allow. */
export const DEFAULT_FRAME_BYTES_MAX = 16_384;
/** The largest frame the format allows. */
export const FRAME_BYTES_LIMIT = 0xff_ffff;
/** The peer's header table until it has said otherwise. */
export const DEFAULT_TABLE_BYTES = 4_096;
/** Every window until something else is agreed. */
export const DEFAULT_WINDOW_BYTES = 65_535;
/** The largest window the format allows. */
export const WINDOW_BYTES_LIMIT = 0x7fff_ffff;
/** After it a connection can open no more streams. */
export const STREAM_ID_MAX = 0x7fff_ffff;
/** Exactly this long. */
export const PING_PAYLOAD_BYTES = 8;

/** What a client sends first. */
export const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');

/** A violation that ends the whole connection; `http2Code` goes into GOAWAY. */
export class Http2Error extends Error {
  readonly http2Code: number;

  constructor(http2Code: number, message: string) {
    super(message);
    this.name = 'Http2Error';
    this.http2Code = http2Code;
  }
}

const ERROR_NAMES: ReadonlyMap<number, string> = new Map(Object.entries(ERROR_CODE).map(([name, code]) => [code, name]));

/** The name of an error code, for logs: `cancel`, `refusedStream`, … or the number. */
export function errorCodeName(code: number): string {
  return ERROR_NAMES.get(code) ?? String(code);
}
