import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http2';
import { fieldsThat, isForwardableField, isForwardableTrailer, writablePairs } from '#protocol/http/forwardable.ts';
import type { HeaderBlock, StringHeaders } from '#protocol/http/header-block.ts';
import { HEADER } from '#protocol/http/header-names.ts';

/** Every bound of node:http2 on either side, so that none of its defaults is a policy that nobody has read. */
export const SESSION_LIMITS = {
  maxSessionInvalidFrames: 10_000,
  maxSessionMemory: 64,
  maxSettings: 32,
  maxOutstandingPings: 10,
} as const;

/** The regular headers of node's flat list that may go on; pseudo headers are left to the caller. */
export function readHeaders(rawHeaders: readonly string[]): StringHeaders {
  return fieldsThat(isForwardableField, rawHeaders);
}

/** Trailers as node reports them, an object, as far as they may go on. */
export function readTrailers(headers: IncomingHttpHeaders): StringHeaders {
  const pairs: string[] = [];
  for (const [name, value] of Object.entries(headers)) {
    for (const one of Array.isArray(value) ? value : [value]) if (one !== undefined) pairs.push(name, one);
  }
  return fieldsThat(isForwardableTrailer, pairs);
}

/** Declared body length, taken out of the headers; null when there is none. nghttp2 has checked its form. */
export function takeContentLength(headers: HeaderBlock): number | null {
  const index = headers.indexOf(HEADER.contentLength);
  if (index < 0) return null;
  const length = Number(headers.valueAt(index));
  headers.dropId(HEADER.contentLength);
  return Number.isSafeInteger(length) ? length : null;
}

/** Node refuses some names more than once; a comma-joined value means the same (RFC 9110 5.3), for cookies a semicolon. */
export function writeHeaders(headers: HeaderBlock, into: OutgoingHttpHeaders): OutgoingHttpHeaders {
  const pairs = writablePairs(headers);
  for (let at = 0; at + 1 < pairs.length; at += 2) {
    const name = pairs[at] ?? '';
    const value = pairs[at + 1] ?? '';
    const before = into[name];
    if (before === undefined) into[name] = value;
    else if (name === 'set-cookie') into[name] = [...(Array.isArray(before) ? before : [String(before)]), value];
    else into[name] = `${String(before)}${name === 'cookie' ? '; ' : ', '}${value}`;
  }
  return into;
}
