import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http2';
import { type HeaderBlock, StringHeaders } from '#protocol/http/header-block.ts';
import { HEADER, headerIdOf } from '#protocol/http/header-names.ts';

/** The regular headers of node's flat list; pseudo headers are left to the caller. */
export function readHeaders(rawHeaders: readonly string[]): StringHeaders {
  const pairs: string[] = [];
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const name = rawHeaders[at] ?? '';
    if (!name.startsWith(':')) pairs.push(name, rawHeaders[at + 1] ?? '');
  }
  return new StringHeaders(pairs, headerIdOf);
}

/** Trailers as node reports them: an object, and on newer versions a flat list. */
export function readTrailers(headers: IncomingHttpHeaders): StringHeaders {
  const pairs: string[] = [];
  for (const [name, value] of Object.entries(headers)) {
    for (const one of Array.isArray(value) ? value : [value])
      if (one !== undefined && !name.startsWith(':')) pairs.push(name, one);
  }
  return new StringHeaders(pairs, headerIdOf);
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
  const pairs = headers.toPairs();
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

import http2, { type Http2Stream } from 'node:http2';

/** Whether a stream was reset, or its connection lost, before both sides had ended it. */
export function isBroken(stream: Http2Stream): boolean {
  return stream.aborted || (stream.rstCode !== undefined && stream.rstCode !== http2.constants.NGHTTP2_NO_ERROR);
}
