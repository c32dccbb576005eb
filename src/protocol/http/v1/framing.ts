import { HEADER } from '#protocol/http/header-names.ts';
import type { Http1Headers } from './http1-headers.ts';

/** How long a message body is. */
export type Framing =
  | { readonly kind: 'none' }
  | { readonly kind: 'length'; readonly bytes: number }
  | { readonly kind: 'chunked' }
  /** Responses only: until the connection closes. */
  | { readonly kind: 'until-close' };

/** What Content-Length and Transfer-Encoding say together. */
export type DeclaredFraming =
  | { readonly kind: 'undeclared' }
  | { readonly kind: 'length'; readonly bytes: number }
  | { readonly kind: 'chunked' }
  | { readonly kind: 'invalid'; readonly status: number; readonly details: string };

/** The framings that need no number. */
export const NO_BODY: Framing = { kind: 'none' };
export const CHUNKED: Framing = { kind: 'chunked' };
const UNDECLARED: DeclaredFraming = { kind: 'undeclared' };
const BOTH: DeclaredFraming = { kind: 'invalid', status: 400, details: 'http1.content_length_and_chunked_not_allowed' };
const BAD_LENGTH: DeclaredFraming = { kind: 'invalid', status: 400, details: 'http1.content_length_invalid' };
const BAD_ENCODING: DeclaredFraming = { kind: 'invalid', status: 501, details: 'http1.invalid_transfer_encoding' };

/** Fixed by doubles: 15 digits stay below 2^53. */
const LENGTH_DIGITS_MAX = 15;

/**
 * Reads the framing and drops both headers, for every message is framed afresh when it is sent on.
 * Anything that two parsers could read in two ways is invalid (docs/rules/waypoint.md).
 */
export function takeFraming(headers: Http1Headers): DeclaredFraming {
  let declared = UNDECLARED;
  for (let index = 0; index < headers.receivedCount(); index++) {
    const id = headers.idAt(index);
    if (id === HEADER.transferEncoding) {
      if (declared.kind !== 'undeclared') return declared.kind === 'chunked' ? BAD_ENCODING : BOTH;
      if (!headers.hasValueAt(index, 'chunked')) return BAD_ENCODING;
      declared = { kind: 'chunked' };
      headers.drop(index);
    } else if (id === HEADER.contentLength) {
      if (declared.kind !== 'undeclared') return declared.kind === 'chunked' ? BOTH : BAD_LENGTH;
      const bytes = parseLength(headers.bytes(), headers.valueStart(index), headers.valueEnd(index));
      if (bytes < 0) return BAD_LENGTH;
      declared = { kind: 'length', bytes };
      headers.drop(index);
    }
  }
  return declared;
}

function parseLength(bytes: Buffer, start: number, end: number): number {
  if (end === start || end - start > LENGTH_DIGITS_MAX) return -1;
  let value = 0;
  for (let at = start; at < end; at++) {
    const digit = (bytes[at] ?? 0) - 0x30;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value;
}
