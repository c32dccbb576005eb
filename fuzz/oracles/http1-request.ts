import http from 'node:http';
import { HTTP } from '#model/settings/http.ts';
import type { RequestHead } from '#protocol/http/message.ts';
import { ChunkedDecoder } from '#protocol/http/v1/chunked-decoder.ts';
import type { Framing } from '#protocol/http/v1/framing.ts';
import { Http1Headers } from '#protocol/http/v1/http1-headers.ts';
import { parseRequestHead } from '#protocol/http/v1/request-head.ts';
import { HTTP1_TOKENS } from '../targets/http1.ts';
import type { Comparison, Outcome } from './comparison.ts';
import { type ReadMessage, readByLlhttp } from './llhttp.ts';

/** What we made of an input: a message up to `end`, not enough of one, or a refusal. */
type Ours =
  | { kind: 'message'; head: RequestHead; body: string; end: number }
  | { kind: 'more' }
  | { kind: 'refused'; details: string };

/** What we refuse on purpose although llhttp takes it (docs/rules/waypoint.md). */
const STRICTER: ReadonlySet<string> = new Set([
  'low_version',
  'http1.unsupported_version',
  'http1.invalid_transfer_encoding',
  'http1.method_not_upper_case',
  'missing_host_header',
  'path_normalization_failed',
  'http1.connection_header_rejected',
  'http1.upgrade_with_body',
  'http1.body_disallowed',
  'too_many_headers',
  'headers_too_large',
  'http1.bare_lf',
  // A control character within a chunk extension.
  'http1.invalid_chunk',
  // llhttp tolerates more than one space, and line ends before the line.
  'http1.malformed_request_line',
]);

/** What belongs to one connection or to framing: we take it out, llhttp tells it. */
const OF_CONNECTION =
  /^(?:host|connection|keep-alive|proxy-connection|transfer-encoding|content-length|upgrade|te|trailer|http2-settings)$/;
const FRAMING_TRAILER = /^(?:transfer-encoding|content-length):/im;
const METHODS: ReadonlySet<string> = new Set(http.METHODS);

/** What ends lines for some: the connection's own buffer of heads refuses it before a head is whole. */
const BARE_LF = /(?<!\r)\n/;

const headers = new Http1Headers();

function readByUs(bytes: Buffer): Ours {
  const head = bytes.indexOf('\r\n\r\n');
  if (head < 0) return BARE_LF.test(bytes.toString('latin1')) ? { kind: 'refused', details: 'http1.bare_lf' } : { kind: 'more' };
  const end = head + 4;
  if (end > HTTP.headBytesMax) return { kind: 'refused', details: 'headers_too_large' };
  const result = parseRequestHead(bytes, 0, end, headers, 'NONE');
  if (result.kind === 'invalid') return { kind: 'refused', details: result.problem.details };
  return withBody(bytes, end, result.head, result.framing);
}

function withBody(bytes: Buffer, start: number, head: RequestHead, framing: Framing): Ours {
  switch (framing.kind) {
    case 'length':
      if (start + framing.bytes > bytes.length) return { kind: 'more' };
      return { kind: 'message', head, body: bytes.toString('latin1', start, start + framing.bytes), end: start + framing.bytes };
    case 'chunked':
      return chunked(bytes, start, head);
    default:
      return { kind: 'message', head, body: '', end: start };
  }
}

function chunked(bytes: Buffer, start: number, head: RequestHead): Ours {
  const decoder = new ChunkedDecoder();
  let body = '';
  for (let from = start; ; from = decoder.position) {
    const event = decoder.next(bytes, from);
    if (event === 'data') body += bytes.toString('latin1', decoder.dataStart, decoder.dataEnd);
    else if (event === 'end') return { kind: 'message', head, body, end: decoder.position };
    else return event === 'more' ? { kind: 'more' } : { kind: 'refused', details: 'http1.invalid_chunk' };
  }
}

function compare(bytes: Buffer): Outcome {
  const ours = readByUs(bytes);
  if (ours.kind === 'message') return compareMessage(ours, bytes);
  // What llhttp takes whole and we do not would be cut in two places by two hops.
  const theirs = readByLlhttp(Buffer.from(bytes));
  if (!theirs.whole) return 'refused';
  if (ours.kind === 'refused' && STRICTER.has(ours.details)) return { explained: ours.details };
  throw new Error(`only llhttp takes it (we: ${ours.kind === 'refused' ? ours.details : 'more to come'})`);
}

function compareMessage({ head, body, end }: Ours & { kind: 'message' }, bytes: Buffer): Outcome {
  if (!METHODS.has(head.method)) return { explained: 'a method that llhttp does not know' };
  // Exactly these bytes are one message to it, too: neither less nor more.
  const theirs = readByLlhttp(Buffer.from(bytes.subarray(0, end)));
  if (theirs.error !== null || !theirs.whole || theirs.messages !== 1)
    return explainedRefusal(theirs, bytes.toString('latin1', 0, end));
  if (theirs.body !== body) throw new Error(`two bodies: ${JSON.stringify([body, theirs.body])}`);
  const target = head.method === 'CONNECT' || !theirs.url.startsWith('/') ? null : theirs.url.replace(/#.*$/s, '');
  if (target !== null && target !== head.target) throw new Error(`two targets: ${JSON.stringify([head.target, theirs.url])}`);
  compareHeaders(head.headers.toPairs(), theirs.headers);
  return 'agreed';
}

/** What llhttp refuses and we take: of none of it anything goes on to an app. */
function explainedRefusal({ error, whole, messages }: ReadMessage, text: string): Outcome {
  const [head = '', ...rest] = text.split('\r\n\r\n');
  const behind = rest.join('\r\n\r\n');
  if (error === 'HPE_INVALID_CONTENT_LENGTH' && /content-length:[ \t]*\d+[ \t]*\t/i.test(head))
    return { explained: 'a tab behind a length' };
  if (error === 'HPE_INVALID_TRANSFER_ENCODING' && /transfer-encoding:[ \t]*chunked[ \t]*\t/i.test(head))
    return { explained: 'a tab behind a coding' };
  if (error === 'HPE_STRICT' && /^[0-9a-f]+;/im.test(behind)) return { explained: 'a chunk extension that is no list of names' };
  if (error === 'HPE_INVALID_URL' && /^\S+ https?:\/\/[^/?]*#/i.test(head))
    return { explained: 'a fragment behind an authority' };
  if (
    /^HPE_(INVALID_(TRANSFER_ENCODING|CONTENT_LENGTH)|UNEXPECTED_CONTENT_LENGTH)$/.test(error ?? '') &&
    FRAMING_TRAILER.test(behind)
  )
    return { explained: 'a trailer that speaks of framing, which is dropped' };
  throw new Error(`only we take it (llhttp: ${error ?? `${messages} messages, ${whole ? 'whole' : 'more to come'}`})`);
}

function compareHeaders(ours: readonly string[], theirs: readonly string[]): void {
  const named = new Set<string>();
  const told: string[] = [];
  for (let at = 0; at + 1 < theirs.length; at += 2) {
    const [name = '', value = ''] = [theirs[at]?.toLowerCase(), theirs[at + 1]];
    if (name === 'connection') for (const one of value.toLowerCase().split(',')) named.add(one.trim());
    told.push(name, value);
  }
  const kept = (pairs: readonly string[]): string =>
    JSON.stringify(
      pairs.flatMap((name, at) => (at % 2 === 0 && !OF_CONNECTION.test(name) && !named.has(name) ? [name, pairs[at + 1]] : [])),
    );
  if (kept(ours) !== kept(told)) throw new Error(`two heads: ${kept(ours)} and ${kept(told)}`);
}

/** Requests of HTTP/1.1, beside the parser of Node.js. */
export const http1Comparison: Comparison = {
  name: 'http1-request',
  corpora: ['http1-request'],
  tokens: HTTP1_TOKENS,
  missing: null,
  compare,
};
