/**
 * What a client writes on one connection, and what becomes of it: the statuses that come back in turn, `close` when the connection
 * ends with them; and what the app gets, as `METHOD target host [body]`, each request once and whole.
 */
export type SmugglingCase = readonly [name: string, wire: string, answers: string, upstream: string];

/** The app gets nothing. */
export const NOTHING = '';

/** A message with the host `a`, of which a table says the rest. */
export function request(line: string, lines: readonly string[], body: string): string {
  return `${line}\r\nHost: a\r\n${lines.map((one) => `${one}\r\n`).join('')}\r\n${body}`;
}
const post = (body: string, ...lines: string[]): string => request('POST /x HTTP/1.1', lines, body);
/** A request without a body. */
export const get = (target: string, ...lines: string[]): string => request(`GET ${target} HTTP/1.1`, lines, '');
const chunked = (body: string, ...lines: string[]): string => post(body, 'Transfer-Encoding: chunked', ...lines);
const HELLO = '5\r\nhello\r\n0\r\n\r\n';
/** What is smuggled: a request that policy refuses. */
const ADMIN = 'GET /admin HTTP/1.1\r\nHost: a\r\n\r\n';

const LENGTHS = ['+5', '-5', '0x5', '5 5', '5,5', '5, 5', '5;', '5.0', '"5"', '', '5\x0b', '99999999999999999999', '5e0'];
const CODINGS = [
  'xchunked',
  'chunked, chunked',
  'chunked, identity',
  'identity',
  'gzip, chunked',
  '"chunked"',
  'chunked;q=1',
  'cow',
  '',
];

/** Where a body ends. */
export const FRAMING: readonly SmugglingCase[] = [
  ['CL.TE', post(`0\r\n\r\n${ADMIN}`, 'Content-Length: 6', 'Transfer-Encoding: chunked'), '400 close', NOTHING],
  ['TE.CL', post(`5c\r\n${ADMIN}`, 'Transfer-Encoding: chunked', 'Content-Length: 4'), '400 close', NOTHING],
  ['CL.TE with the length of nothing', post(HELLO, 'Content-Length: 0', 'Transfer-Encoding: chunked'), '400 close', NOTHING],
  ['two lengths', post('hello', 'Content-Length: 5', 'Content-Length: 0'), '400 close', NOTHING],
  ['two lengths that are the same', post('hello', 'Content-Length: 5', 'Content-Length: 5'), '400 close', NOTHING],
  ...LENGTHS.map(
    (length): SmugglingCase => [
      `a length of ${JSON.stringify(length)}`,
      post('hello', `Content-Length: ${length}`),
      '400 close',
      NOTHING,
    ],
  ),
  ['a length with zeros in front', post('hello', 'Content-Length: 005'), '200', 'POST /x a [hello]'],
  ['a length between blanks', post('hello', 'Content-Length: \t5 '), '200', 'POST /x a [hello]'],
  ['a space before the colon of a length', post('hello', 'Content-Length : 5'), '400 close', NOTHING],
  ...CODINGS.map((coding): SmugglingCase => [`a coding of ${JSON.stringify(coding)}`, chunkless(coding), '501 close', NOTHING]),
  ['two codings, chunked twice', chunked(HELLO, 'Transfer-Encoding: chunked'), '501 close', NOTHING],
  ['two codings, the second unknown', chunked(HELLO, 'Transfer-Encoding: cow'), '501 close', NOTHING],
  ['two codings, the first unknown', post(HELLO, 'Transfer-Encoding: cow', 'Transfer-Encoding: chunked'), '501 close', NOTHING],
  ['a space before the colon of a coding', post(HELLO, 'Transfer-Encoding : chunked'), '400 close', NOTHING],
  ['a coding behind a vertical tab', post(HELLO, 'Transfer-Encoding: \x0bchunked'), '400 close', NOTHING],
  ['a coding in a folded line', post(HELLO, 'Transfer-Encoding:', ' chunked'), '400 close', NOTHING],
  ['a coding in a line that continues another', post(HELLO, 'X: y', ' Transfer-Encoding: chunked'), '400 close', NOTHING],
  [
    'a coding as the first line, folded',
    `POST /x HTTP/1.1\r\n Transfer-Encoding: chunked\r\nHost: a\r\n\r\n${HELLO}`,
    '400 close',
    NOTHING,
  ],
  ['a coding behind a bare line feed', post(HELLO, 'X: y\nTransfer-Encoding: chunked'), '400 close', NOTHING],
  ['a coding behind a bare carriage return', post(HELLO, 'X: y\rTransfer-Encoding: chunked'), '400 close', NOTHING],
  ['a coding behind a NUL', post(HELLO, 'X: y\0', 'Transfer-Encoding: chunked'), '400 close', NOTHING],
  [
    'a coding with an underscore is a header as any other',
    post('hello', 'Transfer_Encoding: chunked', 'Content-Length: 5'),
    '200',
    'POST /x a [hello]',
  ],
  ['a coding in capitals behind a tab', post(HELLO, 'TRANSFER-ENCODING:\tChUnKeD'), '200', 'POST /x a [hello]'],
  ['a coding named in Connection stays', chunked(HELLO, 'Connection: transfer-encoding'), '200', 'POST /x a [hello]'],
  [
    'a length named in Connection stays',
    post('hello', 'Content-Length: 5', 'Connection: content-length'),
    '200',
    'POST /x a [hello]',
  ],
  ['a body of GET is a body', get('/x', `Content-Length: ${ADMIN.length}`) + ADMIN, '200', `GET /x a [${ADMIN}]`],
  ['no length is no body', `${post('')}${ADMIN}`, '200 403', 'POST /x a []'],
  ['a request behind a chunked one', `${chunked(HELLO)}${ADMIN}`, '200 403', 'POST /x a [hello]'],
  [
    'a body of a request that is refused',
    request('POST /admin HTTP/1.1', [`Content-Length: ${ADMIN.length}`], ADMIN),
    '403',
    NOTHING,
  ],
  [
    'a chunked body of a request that is refused',
    request('POST /admin HTTP/1.1', ['Transfer-Encoding: chunked'], HELLO),
    '403 close',
    NOTHING,
  ],
  [
    'an expectation does not end a body',
    `${post('hello', 'Content-Length: 5', 'Expect: 100-continue')}${ADMIN}`,
    '100 200 403',
    'POST /x a [hello]',
  ],
  ['an expectation of something else', `${post('hello', 'Content-Length: 5', 'Expect: 100-cont')}`, '417', NOTHING],
];

function chunkless(coding: string): string {
  return post(HELLO, `Transfer-Encoding: ${coding}`);
}

const SIZES = ['5 ', ' 5', '+5', '-5', '0x5', '5\t', '5,', '5;', 'fffffffffffffffff', '0000000000005', '5\x0b', '', 'g'];

/** Chunks, what stands beside their sizes, and trailers. */
export const CHUNKS: readonly SmugglingCase[] = [
  ...SIZES.map(
    (size): SmugglingCase => [
      `a chunk of ${JSON.stringify(size)}`,
      chunked(`${size}\r\nhello\r\n0\r\n\r\n`),
      '400 close',
      NOTHING,
    ],
  ),
  ['a size with zeros in front', chunked('005\r\nhello\r\n0\r\n\r\n'), '200', 'POST /x a [hello]'],
  ['a size in capitals', chunked(`A\r\n0123456789\r\n0\r\n\r\n`), '200', 'POST /x a [0123456789]'],
  ['a size behind a bare line feed', chunked('5\nhello\r\n0\r\n\r\n'), '400 close', NOTHING],
  ['a size behind a bare carriage return', chunked('5\rhello\r\n0\r\n\r\n'), '400 close', NOTHING],
  ['data behind a bare line feed', chunked('5\r\nhello\n0\r\n\r\n'), '400 close', NOTHING],
  ['more data than the size', chunked('5\r\nhello!\r\n0\r\n\r\n'), '400 close', NOTHING],
  ['less data than the size', chunked(`6\r\nhello\r\n0\r\n\r\n`), '400 close', NOTHING],
  ['an extension', chunked('5;a=b;c="d"\r\nhello\r\n0;e\r\n\r\n'), '200', 'POST /x a [hello]'],
  ['an extension with a bare line feed', chunked(`5;a\nhello\r\n0\r\n\r\n`), '400 close', NOTHING],
  ['an extension with a bare carriage return', chunked('5;a\rb\r\nhello\r\n0\r\n\r\n'), '400 close', NOTHING],
  ['an end without its empty line', chunked('0\r\nX: y\n\r\n'), '400 close', NOTHING],
  ['an end of bare line feeds', chunked('0\n\n'), '400 close', NOTHING],
  [
    'a trailer that says how long',
    `${chunked('5\r\nhello\r\n0\r\nContent-Length: 50\r\n\r\n')}${ADMIN}`,
    '200 403',
    'POST /x a [hello]',
  ],
  ['a trailer that says how coded', chunked('5\r\nhello\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n'), '200', 'POST /x a [hello]'],
  ['a trailer that names a host', chunked('5\r\nhello\r\n0\r\nHost: secret\r\n\r\n'), '200', 'POST /x a [hello]'],
  ['a trailer with a space in its name', chunked('5\r\nhello\r\n0\r\nX Y: z\r\n\r\n'), '400 close', NOTHING],
  ['a folded trailer', chunked('5\r\nhello\r\n0\r\nX: y\r\n z\r\n\r\n'), '400 close', NOTHING],
];

/** Lines of the head. */
export const LINES: readonly SmugglingCase[] = [
  ['two spaces in the request line', request('GET  /x HTTP/1.1', [], ''), '400 close', NOTHING],
  ['a tab in the request line', request('GET\t/x HTTP/1.1', [], ''), '400 close', NOTHING],
  ['a space behind the version', request('GET /x HTTP/1.1 ', [], ''), '400 close', NOTHING],
  ['a space in the target', request('GET /x /admin HTTP/1.1', [], ''), '400 close', NOTHING],
  ['a NUL in the target', request('GET /x\0 HTTP/1.1', [], ''), '400 close', NOTHING],
  ['eight bits in the target', request('GET /\xe1dmin HTTP/1.1', [], ''), '400 close', NOTHING],
  ['no version', 'GET /x\r\n\r\n', '400 close', NOTHING],
  ['HTTP/1.0', request('GET /x HTTP/1.0', [], ''), '426 close', NOTHING],
  ['HTTP/1.2', request('GET /x HTTP/1.2', [], ''), '505 close', NOTHING],
  ['HTTP/2.0 in text', request('GET /x HTTP/2.0', [], ''), '505 close', NOTHING],
  ['a version in small letters', request('GET /x http/1.1', [], ''), '400 close', NOTHING],
  ['a method in small letters', request('delete /x HTTP/1.1', [], ''), '400 close', NOTHING],
  ['a method with a space in front', request(' GET /x HTTP/1.1', [], ''), '400 close', NOTHING],
  ['a method that policy refuses', request('DELETE /x HTTP/1.1', [], ''), '403', NOTHING],
  ['a method told by a header is no method', get('/x', 'X-HTTP-Method-Override: DELETE'), '200', 'GET /x a []'],
  ['a request line behind a bare line feed', 'GET /x HTTP/1.1\nHost: a\r\n\r\n', '400 close', NOTHING],
  ['a head of bare line feeds', 'GET /x HTTP/1.1\nHost: a\n\n', '400 close', NOTHING],
  ['a head that ends in a bare line feed', 'GET /x HTTP/1.1\r\nHost: a\r\n\n', '400 close', NOTHING],
  ['a space in a name', get('/x', 'X Y: z'), '400 close', NOTHING],
  ['no name', get('/x', ': z'), '400 close', NOTHING],
  ['no colon', get('/x', 'x'), '400 close', NOTHING],
  ['brackets in a name', get('/x', 'X(y): z'), '400 close', NOTHING],
  ['eight bits in a name', get('/x', 'X\xe1: z'), '400 close', NOTHING],
  ['a control character in a value', get('/x', 'X: a\x01b'), '400 close', NOTHING],
  ['a bare carriage return in a value', get('/x', 'X: a\rb'), '400 close', NOTHING],
  ['a folded line', get('/x', 'X: a', '\tb'), '400 close', NOTHING],
  ['a header named in Connection ends here', get('/x', 'X-User: root', 'Connection: close, x-user'), '200 close', 'GET /x a []'],
  ['Connection cannot take the host away', get('/x', 'Connection: host'), '200', 'GET /x a []'],
  ['Connection that is no list of names', get('/x', 'Connection: a b'), '400 close', NOTHING],
  [
    'h2c is not switched to',
    `${get('/x', 'Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAAQAAP__')}${ADMIN}`,
    '200 403',
    'GET /x a []',
  ],
  [
    'h2c with a preface behind it',
    `${get('/x', 'Connection: Upgrade', 'Upgrade: h2c')}PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n`,
    '200 505 close',
    'GET /x a []',
  ],
  [
    'a WebSocket that the app does not want leaves the next request to policy',
    `${get('/x', 'Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 777')}${ADMIN}`,
    '200 403',
    'GET /x a []',
  ],
  ['an upgrade that Connection does not name', `${get('/x', 'Upgrade: websocket')}${ADMIN}`, '200 403', 'GET /x a []'],
  [
    'an upgrade to what nobody here speaks is none',
    `${get('/x', 'Connection: Upgrade', 'Upgrade: foo')}${ADMIN}`,
    '200 403',
    'GET /x a []',
  ],
  [
    'an upgrade to one of two',
    `${get('/x', 'Connection: Upgrade', 'Upgrade: h2c, websocket')}${ADMIN}`,
    '200 403',
    'GET /x a []',
  ],
  [
    'an upgrade to what nobody here speaks, with a body',
    `${post('hello', 'Content-Length: 5', 'Connection: Upgrade', 'Upgrade: TLS/1.0')}${ADMIN}`,
    '200 403',
    'POST /x a [hello]',
  ],
  [
    'an upgrade with a body',
    post('hello', 'Content-Length: 5', 'Connection: Upgrade', 'Upgrade: websocket'),
    '400 close',
    NOTHING,
  ],
];
