import assert from 'node:assert/strict';
import test from 'node:test';
import { Http1Headers } from './http1-headers.ts';
import { parseRequestHead, type RequestHeadResult } from './request-head.ts';

function parse(text: string): RequestHeadResult {
  const bytes = Buffer.from(text, 'latin1');
  return parseRequestHead(bytes, 0, bytes.length, new Http1Headers());
}

function head(...lines: string[]): string {
  return `${lines.join('\r\n')}\r\n\r\n`;
}

const REFUSED: { name: string; text: string; status: number; details?: string }[] = [
  { name: 'W19 HTTP/1.0', text: head('GET / HTTP/1.0', 'host: a'), status: 426, details: 'low_version' },
  { name: 'another version', text: head('GET / HTTP/2.0', 'host: a'), status: 505 },
  { name: 'a minor version from the future', text: head('GET / HTTP/1.2', 'host: a'), status: 505 },
  { name: 'no version', text: head('GET /', 'host: a'), status: 400 },
  {
    name: 'W20 CL and TE',
    text: head('POST / HTTP/1.1', 'host: a', 'content-length: 3', 'transfer-encoding: chunked'),
    status: 400,
  },
  {
    name: 'W20 TE and CL',
    text: head('POST / HTTP/1.1', 'host: a', 'transfer-encoding: chunked', 'content-length: 3'),
    status: 400,
  },
  { name: 'W21 TE gzip, chunked', text: head('POST / HTTP/1.1', 'host: a', 'transfer-encoding: gzip, chunked'), status: 501 },
  { name: 'TE xchunked', text: head('POST / HTTP/1.1', 'host: a', 'transfer-encoding: xchunked'), status: 501 },
  {
    name: 'TE twice',
    text: head('POST / HTTP/1.1', 'host: a', 'transfer-encoding: chunked', 'transfer-encoding: chunked'),
    status: 501,
  },
  { name: 'W22 two Hosts', text: head('GET / HTTP/1.1', 'host: a', 'host: b'), status: 400, details: 'missing_host_header' },
  { name: 'W22 two equal Hosts', text: head('GET / HTTP/1.1', 'host: a', 'Host: a'), status: 400 },
  { name: 'no Host', text: head('GET / HTTP/1.1', 'x: a'), status: 400, details: 'missing_host_header' },
  { name: 'an empty Host', text: head('GET / HTTP/1.1', 'host:'), status: 400 },
  { name: 'a Host with user information', text: head('GET / HTTP/1.1', 'host: u@a'), status: 400 },
  { name: 'W23 obs-fold', text: head('GET / HTTP/1.1', 'host: a', 'x: 1', ' 2'), status: 400 },
  { name: 'W23 bare LF in the head', text: 'GET / HTTP/1.1\r\nhost: a\nx: 1\r\n\r\n', status: 400 },
  { name: 'a bare CR', text: 'GET / HTTP/1.1\r\nhost: a\rx: 1\r\n\r\n', status: 400 },
  { name: 'a space before the colon', text: head('GET / HTTP/1.1', 'host : a'), status: 400 },
  { name: 'a header without colon', text: head('GET / HTTP/1.1', 'host: a', 'nonsense'), status: 400 },
  { name: 'a NUL in a value', text: head('GET / HTTP/1.1', 'host: a', 'x: \0'), status: 400 },
  { name: 'a header without name', text: head('GET / HTTP/1.1', 'host: a', ': x'), status: 400 },
  { name: 'CL twice', text: head('POST / HTTP/1.1', 'host: a', 'content-length: 3', 'content-length: 3'), status: 400 },
  { name: 'CL as a list', text: head('POST / HTTP/1.1', 'host: a', 'content-length: 3, 3'), status: 400 },
  { name: 'CL with a sign', text: head('POST / HTTP/1.1', 'host: a', 'content-length: +3'), status: 400 },
  { name: 'CL in hexadecimal', text: head('POST / HTTP/1.1', 'host: a', 'content-length: 0x3'), status: 400 },
  { name: 'an empty CL', text: head('POST / HTTP/1.1', 'host: a', 'content-length:'), status: 400 },
  { name: 'a CL past 2^53', text: head('POST / HTTP/1.1', 'host: a', 'content-length: 99999999999999999999'), status: 400 },
  {
    name: 'W24 101 headers',
    text: head('GET / HTTP/1.1', 'host: a', ...Array.from({ length: 100 }, (_, at) => `h${at}: 1`)),
    status: 431,
  },
  { name: 'a lower-case method', text: head('get / HTTP/1.1', 'host: a'), status: 400, details: 'http1.method_not_upper_case' },
  { name: 'a target with a space', text: head('GET /a b HTTP/1.1', 'host: a'), status: 400 },
  { name: 'a target that is not ASCII', text: head('GET /\u00e4 HTTP/1.1', 'host: a'), status: 400 },
  { name: 'an escaped NUL', text: head('GET /%00 HTTP/1.1', 'host: a'), status: 400, details: 'path_normalization_failed' },
  { name: 'a target of another scheme', text: head('GET ftp://a/ HTTP/1.1', 'host: a'), status: 400 },
  { name: 'the asterisk form of GET', text: head('GET * HTTP/1.1', 'host: a'), status: 400 },
  {
    name: 'CONNECT with a body',
    text: head('CONNECT a:1 HTTP/1.1', 'host: a', 'content-length: 2'),
    status: 400,
    details: 'http1.body_disallowed',
  },
  {
    name: 'an upgrade with a body',
    text: head('GET / HTTP/1.1', 'host: a', 'connection: upgrade', 'upgrade: websocket', 'content-length: 2'),
    status: 400,
  },
  { name: 'a malformed Connection', text: head('GET / HTTP/1.1', 'host: a', 'connection: a b'), status: 400 },
  { name: 'an overly long Connection', text: head('GET / HTTP/1.1', 'host: a', `connection: ${'x,'.repeat(600)}`), status: 400 },
  { name: 'an empty request line', text: head('', 'host: a'), status: 400 },
];

for (const { name, text, status, details } of REFUSED) {
  test(`request head: ${name} is refused with ${status}`, () => {
    const result = parse(text);
    assert.ok(result.kind === 'invalid');
    assert.equal(result.problem.status, status);
    if (details !== undefined) assert.equal(result.problem.details, details);
  });
}

type Wanted = {
  method?: string;
  target?: string;
  authority?: string;
  headers?: string[];
  upgrade?: string | null;
  keepAlive?: boolean;
  framing?: string;
};

const ACCEPTED: { name: string; text: string; want: Wanted }[] = [
  {
    name: 'names are lower-cased and values trimmed',
    text: head('GET /x HTTP/1.1', 'HOST: a', 'X-Y: \t b c \t'),
    want: { method: 'GET', target: '/x', authority: 'a', headers: ['x-y', 'b c'] },
  },
  { name: 'an empty value is kept', text: head('GET / HTTP/1.1', 'host: a', 'x:'), want: { headers: ['x', ''] } },
  {
    name: 'the absolute form replaces Host',
    text: head('GET http://b:80/c?d HTTP/1.1', 'host: a'),
    want: { authority: 'b:80', target: '/c?d' },
  },
  {
    name: 'W15 the target is normalized',
    text: head('GET /a/./b/../c?x=./.. HTTP/1.1', 'host: a'),
    want: { target: '/a/c?x=./..' },
  },
  { name: 'OPTIONS * is kept', text: head('OPTIONS * HTTP/1.1', 'host: a'), want: { target: '*' } },
  {
    name: 'W25 headers named by Connection go',
    text: head('GET / HTTP/1.1', 'x-foo: 1', 'host: a', 'connection: x-foo, keep-alive', 'X-Foo: 2', 'y: 1'),
    want: { headers: ['y', '1'], keepAlive: true },
  },
  {
    name: 'Connection cannot remove Host or the framing',
    text: head('POST / HTTP/1.1', 'host: a', 'connection: host, content-length', 'content-length: 3'),
    want: { authority: 'a', framing: 'length 3' },
  },
  {
    name: 'connection: close ends the connection',
    text: head('GET / HTTP/1.1', 'host: a', 'Connection: Close'),
    want: { keepAlive: false, headers: [] },
  },
  {
    name: 'hop-by-hop headers go',
    text: head('GET / HTTP/1.1', 'host: a', 'keep-alive: 1', 'proxy-connection: x', 'trailer: y', 'upgrade: foo'),
    want: { headers: [], upgrade: null },
  },
  {
    name: 'W26 TE: trailers stays',
    text: head('GET / HTTP/1.1', 'host: a', 'te: Trailers'),
    want: { headers: ['te', 'Trailers'] },
  },
  { name: 'W26 TE: gzip goes', text: head('GET / HTTP/1.1', 'host: a', 'te: gzip'), want: { headers: [] } },
  {
    name: 'W28 an h2c upgrade is ignored',
    text: head('GET / HTTP/1.1', 'host: a', 'connection: Upgrade, HTTP2-Settings', 'upgrade: h2c', 'http2-settings: AAM'),
    want: { headers: [], upgrade: null },
  },
  {
    name: 'W29 a websocket upgrade is seen',
    text: head('GET / HTTP/1.1', 'host: a', 'connection: keep-alive, Upgrade', 'Upgrade: WebSocket', 'sec-websocket-key: k'),
    want: { headers: ['sec-websocket-key', 'k'], upgrade: 'websocket' },
  },
  {
    name: 'a chunked body in any case',
    text: head('POST / HTTP/1.1', 'host: a', 'Transfer-Encoding: Chunked'),
    want: { framing: 'chunked', headers: [] },
  },
  {
    name: 'a length of zero is no body',
    text: head('POST / HTTP/1.1', 'host: a', 'content-length: 0'),
    want: { framing: 'none' },
  },
  {
    name: 'a hundred headers fit',
    text: head('GET / HTTP/1.1', 'host: a', ...Array.from({ length: 99 }, (_, at) => `h${at}: 1`)),
    want: { target: '/' },
  },
  { name: 'an extension method is kept', text: head('M-SEARCH / HTTP/1.1', 'host: a'), want: { method: 'M-SEARCH' } },
];

for (const { name, text, want } of ACCEPTED) {
  test(`request head: ${name}`, () => {
    const result = parse(text);
    assert.ok(result.kind === 'ok', JSON.stringify(result));
    const { framing, keepAlive } = result;
    const { method, target, authority, upgrade } = result.head;
    const seen: Wanted = {
      method,
      target,
      authority,
      upgrade,
      keepAlive,
      headers: result.head.headers.toPairs(),
      framing: framing.kind === 'length' ? `length ${framing.bytes}` : framing.kind,
    };
    for (const key of Object.keys(want) as (keyof Wanted)[]) assert.deepEqual(seen[key], want[key], key);
  });
}

test('the authority is that of each head, also when it is like the one before', () => {
  const headers = new Http1Headers();
  for (const [host, authority] of [
    ['cart', 'cart'],
    ['cart', 'cart'],
    ['CART', 'CART'],
    ['cars', 'cars'],
    ['cart:80', 'cart:80'],
    ['ca rt', null],
    ['cart:80', 'cart:80'],
    ['', null],
    ['c', 'c'],
  ] as const) {
    const bytes = Buffer.from(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    const result = parseRequestHead(bytes, 0, bytes.length, headers);
    assert.equal(result.kind === 'ok' ? result.head.authority : null, authority);
  }
});
