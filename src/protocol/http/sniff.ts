import { HTTP } from '#model/settings/http.ts';
import { CR, LF, SPACE, TARGET, TOKEN } from './characters.ts';

/** The verdict of `sniff`. */
export type Sniffed = 'http1' | 'http2' | 'other' | 'undecided';

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
const VERSION = /^HTTP\/\d\.\d$/;
const VERSION_PREFIX = 'HTTP/1.1'.length;

/**
 * What a connection speaks, from its first bytes: the HTTP/2 preface, an HTTP/1 request line (whatever its
 * version, so that HTTP/1.0 gets its answer), or something else. `undecided` asks for more bytes. The first
 * byte that cannot be HTTP decides at once (docs/rules/waypoint.md).
 */
export function sniff(bytes: Buffer): Sniffed {
  const compared = Math.min(bytes.length, PREFACE.length);
  if (bytes.compare(PREFACE, 0, compared, 0, compared) === 0) return compared === PREFACE.length ? 'http2' : 'undecided';
  return sniffRequestLine(bytes);
}

function sniffRequestLine(bytes: Buffer): Sniffed {
  const methodEnd = skip(bytes, 0, TOKEN);
  if (methodEnd > HTTP.methodBytesMax) return 'other';
  if (methodEnd === bytes.length) return 'undecided';
  if (methodEnd === 0 || bytes[methodEnd] !== SPACE) return 'other';
  const targetEnd = skip(bytes, methodEnd + 1, TARGET);
  if (targetEnd === bytes.length) return targetEnd > HTTP.sniffedBytesMax ? 'other' : 'undecided';
  if (targetEnd === methodEnd + 1 || bytes[targetEnd] !== SPACE) return 'other';
  return sniffVersion(bytes, targetEnd + 1);
}

function sniffVersion(bytes: Buffer, start: number): Sniffed {
  const end = start + VERSION_PREFIX;
  const text = bytes.toString('latin1', start, Math.min(end, bytes.length));
  if (text.length < VERSION_PREFIX) return VERSION.test(text + 'HTTP/1.1'.slice(text.length)) ? 'undecided' : 'other';
  if (!VERSION.test(text)) return 'other';
  if (bytes.length === end || (bytes.length === end + 1 && bytes[end] === CR)) return 'undecided';
  return bytes[end] === LF || (bytes[end] === CR && bytes[end + 1] === LF) ? 'http1' : 'other';
}

function skip(bytes: Buffer, from: number, table: Uint8Array): number {
  let at = from;
  while (at < bytes.length && table[bytes[at] ?? 0] === 1) at++;
  return at;
}
