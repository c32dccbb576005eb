import { HTTP2 } from '#model/settings/http.ts';
import type { PathNormalization } from '#model/waypoint/config.ts';
import { isForwardableInterim, isForwardableStatus } from '#protocol/http/forwardable.ts';
import { HEADER } from '#protocol/http/header-names.ts';
import type { RequestHead, ResponseHead } from '#protocol/http/message.ts';
import { isAuthority, normalizeTarget } from '#protocol/http/target.ts';
import { type Field, TRAIT } from './field.ts';
import { FieldBlock } from './field-block.ts';

/** What a head turned out to be. */
export type HeadResult<Head> =
  | { readonly kind: 'ok'; readonly head: Head }
  /** Readable, but no request that can be served: answered with 400. */
  | { readonly kind: 'refused'; readonly details: string }
  /** Breaks the rules of HTTP/2: the stream is reset (RFC 9113 8.1.1). */
  | { readonly kind: 'malformed'; readonly details: string };

const METHOD = /^[!#$%&'*+\-.^_`|~0-9A-Z]+$/;
const BAD = TRAIT.invalid | TRAIT.ofConnection;
const DIGITS = /^\d{1,15}$/;
const NO_LENGTH = -1;
const BAD_LENGTH = -2;

/** Authorities repeat, as one string of the connection's table: the last one that passed need not be looked at again. */
let knownAuthority = '';

function malformed(details: string): { kind: 'malformed'; details: string } {
  return { kind: 'malformed', details };
}

function refused(details: string): { kind: 'refused'; details: string } {
  return { kind: 'refused', details };
}

/** Reads the head of a request. `ended`: no body follows. */
export function readRequestHead(fields: readonly Field[], ended: boolean, level: PathNormalization): HeadResult<RequestHead> {
  if (fields.length > HTTP2.headerPairsMax) return malformed('headers_too_many');
  let method: string | null = null;
  let scheme: string | null = null;
  let path: string | null = null;
  let authority: string | null = null;
  let protocol: string | null = null;
  let at = 0;
  for (; at < fields.length; at++) {
    const field = fields[at];
    if (field === undefined || (field[3] & TRAIT.pseudo) === 0) break;
    if ((field[3] & TRAIT.invalid) !== 0) return malformed('an invalid pseudo header');
    const [name, value] = field;
    if (name === ':method' && method === null) method = value;
    else if (name === ':path' && path === null) path = value;
    else if (name === ':scheme' && scheme === null) scheme = value;
    else if (name === ':authority' && authority === null) authority = value;
    else if (name === ':protocol' && protocol === null) protocol = value;
    else return malformed(`pseudo header ${name}`);
  }
  const contentLength = checkRegular(fields, at);
  if (typeof contentLength === 'string') return malformed(contentLength);
  // RFC 9113 8.3.1, and 8.5 for CONNECT; with :protocol it has what others have (RFC 8441 4).
  const isConnect = method === 'CONNECT' && protocol === null;
  if (method === null || (isConnect ? path !== null || scheme !== null : !path || scheme === null))
    return malformed('missing or superfluous pseudo headers');
  if (protocol !== null && (method !== 'CONNECT' || contentLength !== NO_LENGTH))
    return malformed('an extended CONNECT that is none');
  const headers = new FieldBlock(fields, at, TRAIT.head);
  const host = authority ?? onlyHost(headers);
  headers.dropId(HEADER.host);
  headers.dropId(HEADER.contentLength);
  const found = { method, path, authority: host, headers, contentLength, ended, level };
  return protocol === null ? toRequest(found) : toUpgrade(found, protocol);
}

/** As the request of HTTP/1.1 that means the same: what policies, routes and apps know. */
function toUpgrade(found: Found, protocol: string): HeadResult<RequestHead> {
  if (found.ended) return refused('http2.connect_that_ends');
  const result = toRequest({ ...found, method: 'GET' });
  if (result.kind !== 'ok') return result;
  return { kind: 'ok', head: { ...result.head, hasBody: false, upgrade: protocol.toLowerCase() } };
}

/** What stands for :authority where there is none; with it, it wins. Of two hosts none does (W22). */
function onlyHost(headers: FieldBlock): string {
  const first = headers.indexOf(HEADER.host);
  if (first < 0) return '';
  headers.drop(first);
  return headers.indexOf(HEADER.host) < 0 ? headers.valueAt(first) : '';
}

/** What `readRequestHead` found. */
type Found = {
  method: string;
  path: string | null;
  authority: string;
  headers: FieldBlock;
  contentLength: number;
  ended: boolean;
  level: PathNormalization;
};

function toRequest({ method, path, authority, headers, contentLength, ended, level }: Found): HeadResult<RequestHead> {
  if (method !== 'GET' && method !== 'POST' && !METHOD.test(method)) return refused('http2.method_not_upper_case');
  if (authority !== knownAuthority) {
    if (!isAuthority(authority)) return refused('missing_host_header');
    knownAuthority = authority;
  }
  const isAsterisk = path === '*' && method === 'OPTIONS';
  const target = method === 'CONNECT' ? authority : isAsterisk ? path : normalizeTarget(path ?? '', level);
  if (target === null) return refused('path_normalization_failed');
  if (ended && contentLength > 0) return refused('http2.content_length_without_body');
  const head: RequestHead = {
    version: 'http2',
    method,
    target,
    authority,
    headers,
    hasBody: !ended,
    contentLength: ended || contentLength === NO_LENGTH ? null : contentLength,
    upgrade: null,
  };
  return { kind: 'ok', head };
}

/** Reads the head of a response, interim ones included. */
export function readResponseHead(fields: readonly Field[], ended: boolean): HeadResult<ResponseHead> {
  const [name, text, , traits] = fields[0] ?? ['', '', HEADER.other, 0];
  if (name !== ':status' || text.length !== 3 || (traits & TRAIT.invalid) !== 0) return malformed('no status');
  const status = Number(text);
  const contentLength = checkRegular(fields, 1);
  if (typeof contentLength === 'string') return malformed(contentLength);
  const interim = status < 200;
  if (interim && ended) return malformed('an interim response that ends the stream');
  if (!isForwardableStatus(status) && !isForwardableInterim(status)) return malformed(`status ${text}`);
  const headers = new FieldBlock(fields, 1, TRAIT.head);
  headers.dropId(HEADER.contentLength);
  return { kind: 'ok', head: { status, headers, contentLength: interim || contentLength === NO_LENGTH ? null : contentLength } };
}

/** Trailers as far as they go on; null when they break the rules. */
export function readTrailers(fields: readonly Field[]): FieldBlock | null {
  for (const field of fields) if ((field[3] & (BAD | TRAIT.pseudo)) !== 0) return null;
  return new FieldBlock(fields, 0, TRAIT.trailer);
}

/** The declared length of the body, or NO_LENGTH; a text says what is wrong with the regular headers. */
function checkRegular(fields: readonly Field[], from: number): number | string {
  let traits = 0;
  let contentLength = NO_LENGTH;
  for (let at = from; at < fields.length; at++) {
    const field = fields[at];
    if (field === undefined) break;
    traits |= field[3];
    if (field[2] === HEADER.contentLength) contentLength = contentLength === NO_LENGTH ? lengthOf(field[1]) : BAD_LENGTH;
  }
  if ((traits & TRAIT.pseudo) !== 0) return 'a pseudo header among or after the others';
  if ((traits & TRAIT.ofConnection) !== 0) return 'a header of one connection';
  if ((traits & TRAIT.invalid) !== 0) return 'a header with characters that none may have';
  return contentLength === BAD_LENGTH ? 'content-length' : contentLength;
}

function lengthOf(text: string): number {
  return DIGITS.test(text) ? Number(text) : BAD_LENGTH;
}
