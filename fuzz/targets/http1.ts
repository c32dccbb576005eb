import { ChunkedDecoder } from '#protocol/http/v1/chunked-decoder.ts';
import { Http1Headers } from '#protocol/http/v1/http1-headers.ts';
import { parseRequestHead } from '#protocol/http/v1/request-head.ts';
import { parseResponseHead } from '#protocol/http/v1/response-head.ts';
import { type FuzzTarget, require, requireSame } from '../target.ts';

/** What requests and responses of HTTP/1.1 are made of. */
export const HTTP1_TOKENS = [
  ...['\r\n', '\n', '\r', ' ', '\t', ':', ',', ';', '\0', '\x7f', '/', '//', '/../', '%2f', '%00', '#', '?', '*', 'http://a'],
  ...['GET ', 'CONNECT ', ' HTTP/1.1\r\n', ' HTTP/1.0\r\n', 'HTTP/1.1 200 OK\r\n', 'HTTP/1.1 101 x\r\n', 'Host: a\r\n'],
  ...['Content-Length: 5\r\n', 'Content-Length: +5\r\n', 'Content-Length: 5, 5\r\n', 'Transfer-Encoding: chunked\r\n'],
  ...['Transfer-Encoding: gzip, chunked\r\n', 'Connection: close\r\n', 'Connection: te, x-a\r\n', 'Upgrade: websocket\r\n'],
  ...['TE: trailers\r\n', 'Expect: 100-continue\r\n', ' folded\r\n', '5\r\nhello\r\n', '0\r\n\r\n', 'fffffffffffff\r\n', ';a=b'],
];

/** Where the head ends, its empty line included; -1 when it does not. */
function headEnd(bytes: Buffer): number {
  const at = bytes.indexOf('\r\n\r\n');
  return at < 0 ? -1 : at + 4;
}

/** The events of a chunked body read in two pieces. */
function readChunks(bytes: Buffer, cut: number): { body: string; ended: 'end' | 'more' | 'invalid'; left: number } {
  const decoder = new ChunkedDecoder();
  let body = '';
  let before = 0;
  for (const piece of [bytes.subarray(0, cut), bytes.subarray(cut)]) {
    let from = 0;
    for (;;) {
      const event = decoder.next(piece, from);
      if (event === 'data') body += piece.toString('latin1', decoder.dataStart, decoder.dataEnd);
      else if (event !== 'more') return { body, ended: event, left: bytes.length - before - decoder.position };
      else break;
      require(decoder.position > from, 'every step uses a byte up');
      from = decoder.position;
    }
    before += piece.length;
  }
  return { body, ended: 'more', left: 0 };
}

/** A control character in what goes upstream would let one message pass for two. */
function requireClean(pairs: readonly string[]): void {
  for (const text of pairs) require(!/[\r\n\0]/.test(text), 'no line ends inside a header that was accepted');
}

/** Request heads and chunked bodies: refused with a status, or clean; the same in one piece and in two. */
export const http1RequestTarget: FuzzTarget = {
  name: 'http1-request',
  tokens: HTTP1_TOKENS,
  check(bytes, cut) {
    const end = headEnd(bytes);
    if (end >= 0) {
      const headers = new Http1Headers();
      const result = parseRequestHead(bytes, 0, end, headers);
      if (result.kind === 'invalid')
        require(result.problem.status >= 400 && result.problem.status < 600, 'a refusal has its status');
      else {
        const { head, framing } = result;
        requireClean([head.method, head.target, head.authority, ...head.headers.toPairs()]);
        require(framing.kind !== 'length' || Number.isSafeInteger(framing.bytes), 'a length is a number');
        require(head.headers.get('transfer-encoding') === null, 'framing is made afresh');
      }
    }
    const body = bytes.subarray(Math.max(0, end));
    requireSame(
      readChunks(body, body.length),
      readChunks(body, Math.min(cut, body.length)),
      'pieces do not change a chunked body',
    );
  },
};

/** Response heads, as answers to GET, HEAD and CONNECT. */
export const http1ResponseTarget: FuzzTarget = {
  name: 'http1-response',
  tokens: HTTP1_TOKENS,
  check(bytes) {
    const end = headEnd(bytes);
    if (end < 0) return;
    for (const method of ['GET', 'HEAD', 'CONNECT']) {
      const result = parseResponseHead(bytes, 0, end, new Http1Headers(), method);
      if (result.kind === 'invalid') continue;
      require(result.head.status >= 100 && result.head.status <= 999, 'a status has three digits');
      require(method !== 'HEAD' || result.framing.kind === 'none', 'an answer to HEAD has no body');
      requireClean(result.head.headers.toPairs());
    }
  },
};
