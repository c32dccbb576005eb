import { TELEMETRY } from '#model/settings/telemetry.ts';

/** Longer texts are cheaper to write natively than character by character. */
const SHORT_CHARS = 64;
/** Fixed by UTF-8, for each UTF-16 unit. */
const BYTES_PER_CHAR = 3;
/** Fixed by ASCII. */
const ASCII_MAX = 0x7f;

/** What a text line shows of a value as it is; everything else is quoted. 1: yes. */
const PLAIN = tableOf((char) => /[\w./:@+-]/.test(char));
/** What JSON shows of a text as it is. */
const UNESCAPED = tableOf((char) => /[ !#-[\]-~]/.test(char));

const QUOTE = 0x22;
const ZERO = 0x30;
const TEN = 10;
/** Integers below it have digits of their own; others are turned into text. */
const SMALL = 1_000_000_000;

/** Builds lines as UTF-8, one after the other, in one place: a line that is put together as a text costs more than all it tells. */
export class LineWriter {
  bytes = Buffer.allocUnsafeSlow(TELEMETRY.logRoomBytes);
  length = 0;

  /** Begins a line; what a former one left is gone. */
  begin(): void {
    this.length = 0;
    if (this.bytes.length > TELEMETRY.logKeptRoomBytes) this.bytes = Buffer.allocUnsafeSlow(TELEMETRY.logRoomBytes);
  }

  text(text: string): void {
    this.#reserve(text.length * BYTES_PER_CHAR);
    if (text.length > SHORT_CHARS) {
      this.length += this.bytes.write(text, this.length);
      return;
    }
    const { bytes } = this;
    let to = this.length;
    for (let at = 0; at < text.length; at++) {
      const code = text.charCodeAt(at);
      if (code > ASCII_MAX) {
        this.length += bytes.write(text, this.length);
        return;
      }
      bytes[to++] = code;
    }
    this.length = to;
  }

  /** A text as a person reads it: quoted only where its end, or what it is, could be mistaken. */
  plain(text: string): void {
    if (text === '' || !this.#allOf(text, PLAIN)) this.json(text);
  }

  /** A text as JSON. */
  json(text: string): void {
    const start = this.length;
    this.#reserve(1);
    this.bytes[this.length++] = QUOTE;
    if (this.#allOf(text, UNESCAPED)) {
      this.#reserve(1);
      this.bytes[this.length++] = QUOTE;
      return;
    }
    this.length = start;
    this.text(JSON.stringify(text));
  }

  number(value: number): void {
    if (!Number.isInteger(value) || value < 0 || value >= SMALL) {
      this.text(Number.isFinite(value) ? String(value) : 'null');
      return;
    }
    let digits = 1;
    for (let rest = value; rest >= TEN; rest = Math.trunc(rest / TEN)) digits++;
    this.#reserve(digits);
    let rest = value;
    for (let at = this.length + digits - 1; at >= this.length; at--) {
      this.bytes[at] = ZERO + (rest % TEN);
      rest = Math.trunc(rest / TEN);
    }
    this.length += digits;
  }

  copy(from: Uint8Array): void {
    this.#reserve(from.length);
    this.bytes.set(from, this.length);
    this.length += from.length;
  }

  /** A copy of the line from a place on. */
  slice(start: number): Uint8Array {
    return Uint8Array.prototype.slice.call(this.bytes, start, this.length);
  }

  /** Writes a text that has nothing but what the table allows; false: it has, and nothing was written. */
  #allOf(text: string, allowed: Uint8Array): boolean {
    this.#reserve(text.length);
    const { bytes } = this;
    let to = this.length;
    for (let at = 0; at < text.length; at++) {
      const code = text.charCodeAt(at);
      if (allowed[code] !== 1) return false; // also beyond the table
      bytes[to++] = code;
    }
    this.length = to;
    return true;
  }

  #reserve(count: number): void {
    if (this.length + count <= this.bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(this.bytes.length * 2, this.length + count));
    this.bytes.copy(larger, 0, 0, this.length);
    this.bytes = larger;
  }
}

function tableOf(isAllowed: (char: string) => boolean): Uint8Array {
  return Uint8Array.from({ length: ASCII_MAX + 1 }, (_, code) => (isAllowed(String.fromCharCode(code)) ? 1 : 0));
}
