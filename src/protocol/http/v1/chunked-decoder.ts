import { HTTP } from '#model/settings/http.ts';
import { COLON, CR, FIELD_VALUE, HEX_VALUE, LF, SEMICOLON, TOKEN } from '#protocol/http/characters.ts';

/** What one step of the decoder found. */
export type ChunkEvent =
  /** Body bytes lie in `[dataStart, dataEnd)`. */
  | 'data'
  /** All bytes are used up. */
  | 'more'
  /** The body ended at `position`. */
  | 'end'
  | 'invalid';

/** Fixed by doubles: 12 hexadecimal digits stay below 2^53. */
const SIZE_DIGITS_MAX = 12;

const STATE = {
  sizeStart: 0,
  size: 1,
  extension: 2,
  sizeLf: 3,
  data: 4,
  dataCr: 5,
  dataLf: 6,
  lineStart: 7,
  trailerName: 8,
  trailerValue: 9,
  trailerLf: 10,
  finalLf: 11,
  done: 12,
} as const;
type State = (typeof STATE)[keyof typeof STATE];

/**
 * Reads chunked bodies piece by piece, one after the other. Every line must end with CRLF, sizes are plain hexadecimal, extensions are
 * bounded and ignored, trailers are checked and dropped.
 */
export class ChunkedDecoder {
  position = 0;
  dataStart = 0;
  dataEnd = 0;
  #state: State = STATE.sizeStart;
  #left = 0;
  #digits = 0;
  #extensionBytes = 0;
  #surplusBytes = 0;
  #trailerBytes = 0;

  /** The next body begins. */
  begin(): void {
    this.#state = STATE.sizeStart;
    this.#surplusBytes = 0;
    this.#trailerBytes = 0;
  }

  /** Reads on in `bytes[from, end)`; call again from `position` until it says `more`, `end` or `invalid`. */
  next(bytes: Buffer, from: number, end = bytes.length): ChunkEvent {
    this.position = from;
    while (this.position < end) {
      if (this.#state === STATE.data) return this.#takeData(end);
      const next = this.#step(bytes[this.position] ?? 0);
      if (next === null) return 'invalid';
      this.position++;
      this.#state = next;
      if (next === STATE.done) return 'end';
    }
    return 'more';
  }

  #takeData(end: number): ChunkEvent {
    this.dataStart = this.position;
    this.dataEnd = Math.min(end, this.position + this.#left);
    const taken = this.dataEnd - this.dataStart;
    this.#left -= taken;
    this.#surplusBytes = Math.max(0, this.#surplusBytes - taken);
    this.position = this.dataEnd;
    if (this.#left === 0) this.#state = STATE.dataCr;
    return 'data';
  }

  /** The state after one byte that is not body data; null when the byte is not allowed there. */
  #step(code: number): State | null {
    switch (this.#state) {
      case STATE.sizeStart:
        this.#left = 0;
        this.#digits = 0;
        this.#extensionBytes = 0;
        return this.#sizeDigit(code);
      case STATE.size:
        if (code === CR) return STATE.sizeLf;
        return code === SEMICOLON ? STATE.extension : this.#sizeDigit(code);
      case STATE.extension:
        if (code !== CR) return this.#extensionByte(code);
        return this.#extensionBytes > 0 ? STATE.sizeLf : null; // a semicolon announces a name
      case STATE.sizeLf:
        if (code !== LF) return null;
        return this.#left === 0 ? STATE.lineStart : STATE.data;
      case STATE.dataCr:
        return code === CR ? STATE.dataLf : null;
      case STATE.dataLf:
        return code === LF ? STATE.sizeStart : null;
      case STATE.finalLf:
        return code === LF ? STATE.done : null;
      default:
        return this.#trailerByte(code);
    }
  }

  #sizeDigit(code: number): State | null {
    const digit = HEX_VALUE[code] ?? -1;
    if (digit < 0 || ++this.#digits > SIZE_DIGITS_MAX) return null;
    this.#left = this.#left * 16 + digit;
    return STATE.size;
  }

  #extensionByte(code: number): State | null {
    this.#extensionBytes++;
    this.#surplusBytes++;
    const fits = this.#extensionBytes <= HTTP.chunkExtensionBytesMax && this.#surplusBytes <= HTTP.chunkExtensionSurplusBytesMax;
    return fits && FIELD_VALUE[code] === 1 ? STATE.extension : null;
  }

  #trailerByte(code: number): State | null {
    if (++this.#trailerBytes > HTTP.trailerBytesMax) return null;
    switch (this.#state) {
      case STATE.lineStart:
        if (code === CR) return STATE.finalLf;
        return TOKEN[code] === 1 ? STATE.trailerName : null;
      case STATE.trailerName:
        if (code === COLON) return STATE.trailerValue;
        return TOKEN[code] === 1 ? STATE.trailerName : null;
      case STATE.trailerValue:
        if (code === CR) return STATE.trailerLf;
        return FIELD_VALUE[code] === 1 ? STATE.trailerValue : null;
      case STATE.trailerLf:
        return code === LF ? STATE.lineStart : null;
      default:
        return null;
    }
  }
}
