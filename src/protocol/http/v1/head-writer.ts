import { HTTP } from '#model/settings/http.ts';
import { COLON, CR, FIELD_NAME, FIELD_VALUE, LF, LOWER, SPACE } from '#protocol/http/characters.ts';
import type { HeaderBlock } from '#protocol/http/header-block.ts';
import { HEADER } from '#protocol/http/header-names.ts';
import type { RequestHead, ResponseHead } from '#protocol/http/message.ts';
import { reasonOf } from '#protocol/http/status.ts';
import { Http1Headers } from './http1-headers.ts';

/** How the body of a message that we write is framed. */
export type OutgoingFraming = 'none' | 'length' | 'chunked';

const INITIAL_BYTES = HTTP.writeBufferBytes;
/** Longer texts are cheaper to write natively than byte by byte. */
const SHORT_TEXT = 48;
const SHORT_SPAN = 64;
/** Fixed by RFC 9112 5: of a header's line, what is neither name nor value. */
const LINE_BYTES = 4;

/** What takes a head: a byte stream, which has it when `write` returns. */
export type HeadTaker = { write(buffer: Buffer, start: number, end: number): unknown };

/** Status lines are few and constant. */
const statusLines = new Map<number, Buffer>();

/** Gathers one head. Writing is synchronous: one object serves every connection of the process, and a stream takes it at once. */
class MessageWriter {
  #bytes = Buffer.allocUnsafeSlow(INITIAL_BYTES);
  #length = 0;

  /** Begins a head; what one that threw half-way has left must not become part of another connection's. */
  begin(): void {
    this.#length = 0;
  }

  text(text: string): void {
    this.#reserve(text.length);
    if (text.length > SHORT_TEXT) {
      this.#length += this.#bytes.write(text, this.#length, 'latin1');
      return;
    }
    const bytes = this.#bytes;
    let to = this.#length;
    for (let at = 0; at < text.length; at++) bytes[to++] = text.charCodeAt(at);
    this.#length = to;
  }

  bytes(from: Uint8Array, start: number, end: number): void {
    this.#reserve(end - start);
    if (end - start > SHORT_SPAN) {
      this.#bytes.set(from.subarray(start, end), this.#length);
      this.#length += end - start;
      return;
    }
    const bytes = this.#bytes;
    let to = this.#length;
    for (let at = start; at < end; at++) bytes[to++] = from[at] ?? 0;
    this.#length = to;
  }

  /** A header that was received, with its name in lower case. */
  received(from: Uint8Array, nameStart: number, nameEnd: number, valueStart: number, valueEnd: number): void {
    this.#reserve(nameEnd - nameStart + valueEnd - valueStart + LINE_BYTES);
    const bytes = this.#bytes;
    let to = this.#length;
    for (let at = nameStart; at < nameEnd; at++) bytes[to++] = LOWER[from[at] ?? 0] ?? 0;
    bytes[to++] = COLON;
    bytes[to++] = SPACE;
    this.#length = to;
    this.bytes(from, valueStart, valueEnd);
    this.endLine();
  }

  /** A header that was added; nothing where `isWritableField` says no: a line break, or half of a wider character, would be a line of its own. */
  added(name: string, value: string): void {
    this.#reserve(name.length + value.length + LINE_BYTES);
    const bytes = this.#bytes;
    let to = this.#length;
    for (let at = 0; at < name.length; at++) {
      const code = name.charCodeAt(at);
      if (FIELD_NAME[code] !== 1) return;
      bytes[to++] = code;
    }
    if (name === '') return;
    bytes[to++] = COLON;
    bytes[to++] = SPACE;
    for (let at = 0; at < value.length; at++) {
      const code = value.charCodeAt(at);
      if (FIELD_VALUE[code] !== 1) return;
      bytes[to++] = code;
    }
    bytes[to++] = CR;
    bytes[to++] = LF;
    this.#length = to; // what was left half-way is written over
  }

  endLine(): void {
    this.#reserve(2);
    this.#bytes[this.#length++] = CR;
    this.#bytes[this.#length++] = LF;
  }

  /** Hands what was gathered to a stream. */
  send(to: HeadTaker): void {
    to.write(this.#bytes, 0, this.#length);
  }

  #reserve(count: number): void {
    if (this.#length + count <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(this.#bytes.length * 2, this.#length + count));
    this.#bytes.copy(larger, 0, 0, this.#length);
    this.#bytes = larger;
  }
}

const writer = new MessageWriter();

/** Writes a request head; the framing headers are made here and nowhere else. */
export function writeRequestHead(to: HeadTaker, head: RequestHead, framing: OutgoingFraming): void {
  writer.begin();
  writer.text(head.method);
  writer.text(' ');
  writer.text(head.target);
  writer.text(' HTTP/1.1\r\nhost: ');
  writer.text(head.authority);
  writer.endLine();
  writeHeaders(head.headers);
  if (head.upgrade !== null) writeUpgrade(head.upgrade);
  writeFraming(framing, head.contentLength);
  writer.endLine();
  writer.send(to);
}

/** How a response goes out: `contentLength` null: its length is not announced; `close`: the connection ends with it. */
export type ResponseFraming = {
  readonly framing: OutgoingFraming;
  readonly contentLength: number | null;
  readonly close: boolean;
};

/** Writes a response head. */
export function writeResponseHead(to: HeadTaker, head: ResponseHead, { framing, contentLength, close }: ResponseFraming): void {
  writer.begin();
  const line = statusLineOf(head.status);
  writer.bytes(line, 0, line.length);
  writeHeaders(head.headers);
  if (close) writer.text('connection: close\r\n');
  writeFraming(framing, contentLength);
  writer.endLine();
  writer.send(to);
}

/** Writes a 101. */
export function writeUpgradeHead(to: HeadTaker, head: ResponseHead, upgrade: string): void {
  writer.begin();
  const line = statusLineOf(head.status);
  writer.bytes(line, 0, line.length);
  writeHeaders(head.headers);
  writeUpgrade(upgrade);
  writer.endLine();
  writer.send(to);
}

function writeUpgrade(upgrade: string): void {
  writer.text('connection: upgrade\r\nupgrade: ');
  writer.text(upgrade);
  writer.endLine();
}

function writeFraming(framing: OutgoingFraming, contentLength: number | null): void {
  if (framing === 'chunked') writer.text('transfer-encoding: chunked\r\n');
  else if (contentLength !== null) {
    writer.text('content-length: ');
    writer.text(String(contentLength));
    writer.endLine();
  }
}

function writeHeaders(headers: HeaderBlock): void {
  if (headers instanceof Http1Headers) copyHeaders(headers);
  else writeStringHeaders(headers);
  const added = headers.addedCount();
  for (let at = 0; at < added; at++) writer.added(headers.addedNameAt(at), headers.addedValueAt(at));
}

function copyHeaders(headers: Http1Headers): void {
  const bytes = headers.bytes();
  const count = headers.receivedCount();
  for (let index = 0; index < count; index++) {
    if (headers.isDropped(index)) continue;
    const [nameStart, nameEnd] = [headers.nameStart(index), headers.nameEnd(index)];
    writer.received(bytes, nameStart, nameEnd, headers.valueStart(index), headers.valueEnd(index));
  }
}

/** HTTP/2 may split Cookie into several headers; HTTP/1.1 must not (RFC 9113 8.2.3). */
function writeStringHeaders(headers: HeaderBlock): void {
  let cookie = '';
  for (let index = 0; index < headers.receivedCount(); index++) {
    if (headers.isDropped(index)) continue;
    if (headers.idAt(index) === HEADER.cookie)
      cookie = cookie === '' ? headers.valueAt(index) : `${cookie}; ${headers.valueAt(index)}`;
    else writer.added(headers.nameAt(index), headers.valueAt(index));
  }
  if (cookie !== '') writer.added('cookie', cookie);
}

function statusLineOf(status: number): Buffer {
  let line = statusLines.get(status);
  if (line === undefined) {
    line = Buffer.from(`HTTP/1.1 ${status} ${reasonOf(status)}\r\n`, 'latin1');
    statusLines.set(status, line);
  }
  return line;
}
