import { CR, FIELD_VALUE, LF, SPACE } from '#protocol/http/characters.ts';
import type { ResponseHead } from '#protocol/http/message.ts';
import { mayHaveBody } from '#protocol/http/status.ts';
import { takeHopHeaders } from './connection-header.ts';
import { CHUNKED, type DeclaredFraming, type Framing, NO_BODY, takeFraming } from './framing.ts';
import type { Http1Headers } from './http1-headers.ts';

/** A response head with its framing, or what is wrong with it. */
export type ResponseHeadResult =
  | {
      readonly kind: 'ok';
      readonly head: ResponseHead;
      readonly framing: Framing;
      readonly keepAlive: boolean;
      /** Seconds the peer keeps an idle connection, if it says so. */
      readonly keepAliveTimeoutSeconds: number | null;
      /** The Upgrade header of a 101; null otherwise. */
      readonly upgrade: string | null;
    }
  | { readonly kind: 'invalid'; readonly details: string };

const UNTIL_CLOSE: Framing = { kind: 'until-close' };

/** Reads the head in `bytes[start, end)`, its last empty line included; `method` is that of the request it answers. */
export function parseResponseHead(
  bytes: Buffer,
  start: number,
  end: number,
  headers: Http1Headers,
  method: string,
): ResponseHeadResult {
  const line = parseStatusLine(bytes, start);
  if (line === null || line.status > 599) return invalid('http1.malformed_status_line'); // no codec could pass it on
  const fields = headers.parse(bytes, line.next, end - 2);
  if (fields !== 'ok') return invalid(fields === 'too-many' ? 'too_many_headers' : 'http1.malformed_header');
  const declared = takeFraming(headers);
  if (declared.kind === 'invalid') return invalid(declared.details);
  const hop = takeHopHeaders(headers);
  if (hop === null) return invalid('http1.connection_header_rejected');
  const contentLength = declared.kind === 'length' ? declared.bytes : null;
  const framing = framingOf(line.status, method, declared);
  return {
    kind: 'ok',
    head: { status: line.status, headers, contentLength },
    framing,
    keepAlive:
      framing.kind !== 'until-close' && (line.minor === 1 ? hop.persistence !== 'close' : hop.persistence === 'keep-alive'),
    keepAliveTimeoutSeconds: hop.keepAliveTimeoutSeconds,
    upgrade: line.status === 101 ? hop.upgrade : null,
  };
}

function framingOf(status: number, method: string, declared: DeclaredFraming): Framing {
  if (method === 'HEAD' || !mayHaveBody(status)) return NO_BODY;
  switch (declared.kind) {
    case 'chunked':
      return CHUNKED;
    case 'length':
      return declared.bytes === 0 ? NO_BODY : { kind: 'length', bytes: declared.bytes };
    default:
      return UNTIL_CLOSE;
  }
}

const VERSION = 'HTTP/1.';
const ZERO = 0x30;

type StatusLine = { status: number; minor: number; next: number };

/** `HTTP/1.x SP 3DIGIT [SP reason] CRLF`. The reason is not kept: it has no meaning and is written anew. */
function parseStatusLine(bytes: Buffer, start: number): StatusLine | null {
  for (let at = 0; at < VERSION.length; at++) if (bytes[start + at] !== VERSION.charCodeAt(at)) return null;
  let at = start + VERSION.length;
  const minor = digitAt(bytes, at++);
  const hundreds = bytes[at++] === SPACE ? digitAt(bytes, at++) : 0;
  const tens = digitAt(bytes, at++);
  const ones = digitAt(bytes, at++);
  if (minor > 1 || hundreds === 0 || hundreds > 9 || tens > 9 || ones > 9) return null;
  if (bytes[at] === SPACE) while (FIELD_VALUE[bytes[at] ?? 0] === 1) at++;
  if (bytes[at] !== CR || bytes[at + 1] !== LF) return null;
  return { status: hundreds * 100 + tens * 10 + ones, minor, next: at + 2 };
}

/** More than 9: it is no digit. */
function digitAt(bytes: Buffer, at: number): number {
  const digit = (bytes[at] ?? 0) - ZERO;
  return digit < 0 ? 10 : digit;
}

function invalid(details: string): ResponseHeadResult {
  return { kind: 'invalid', details };
}
