import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import { ERROR_CODE, FLAG, FRAME, PREFACE } from '#protocol/http/v2/constants.ts';
import type { Header } from '#protocol/http/v2/field.ts';
import { HpackDecoder } from '#protocol/http/v2/hpack-decoder.ts';
import { encodeHeaders } from '#protocol/http/v2/hpack-encoder.ts';
import { framesOf, rawFrame } from '#protocol/http/v2/wire.testing.ts';
import { rawClient } from './clients.testing.ts';
import { startGuarded } from './smuggling.testing.ts';
import { until } from './waypoint-rig.testing.ts';

// What HTTP/2 can carry and HTTP/1.1 would read otherwise: frames by hand, to a real waypoint, before an app of HTTP/1.1.

/** Fields, a body, the answer (a status, or an error of the stream) and what the app gets. */
type Case = readonly [name: string, fields: readonly Header[], body: string | null, answer: string, upstream: string];

const RESET = `reset ${ERROR_CODE.protocolError}`;
const HEAD: readonly Header[] = [
  [':method', 'GET'],
  [':scheme', 'http'],
  [':path', '/x'],
  [':authority', 'a'],
];
const GET = 'GET /x a []';
const ADMIN = 'GET /admin HTTP/1.1\r\nHost: a\r\n\r\n';

/** The usual head, with pseudo headers in the place of others, or without (null). */
function head(change: Readonly<Record<string, string | null>>): Header[] {
  return HEAD.map(([name, value]): [string, string | null] => [name, name in change ? (change[name] ?? null) : value]).filter(
    (field): field is [string, string] => field[1] !== null,
  );
}
const withField = (name: string, value: string): readonly Header[] => [...HEAD, [name, value]];
const withPseudo = (change: Readonly<Record<string, string | null>>) => head(change);

const websocket = (path: string): Header[] => [...head({ ':method': 'CONNECT', ':path': path }), [':protocol', 'websocket']];

const FIELDS: readonly Case[] = [
  ['the usual', HEAD, null, '200', GET],
  ...['chunked', 'identity'].map(
    (coding): Case => [`H2.TE ${coding}`, withField('transfer-encoding', coding), `0\r\n\r\n${ADMIN}`, RESET, ''],
  ),
  ['H2.CL, less than comes', withField('content-length', '0'), ADMIN, RESET, ''],
  ['H2.CL, more than comes', withField('content-length', '50'), 'hello', RESET, ''],
  ['H2.CL without a body', withField('content-length', '5'), null, '400', ''],
  ['two lengths', [...withField('content-length', '5'), ['content-length', '5']], 'hello', RESET, ''],
  ['a length that is no number', withField('content-length', '+5'), 'hello', RESET, ''],
  ['a body', withField('content-length', '5'), 'hello', '200', 'GET /x a [hello]'],
  ['a body that is a request', HEAD, ADMIN, '200', `GET /x a [${ADMIN}]`],
  ...(['connection', 'keep-alive', 'proxy-connection', 'upgrade'] as const).map(
    (name): Case => [`${name}, of one connection`, withField(name, 'close'), null, RESET, ''],
  ),
  ['te that is not trailers', withField('te', 'gzip'), null, RESET, ''],
  ['te: trailers', withField('te', 'trailers'), null, '200', GET],
  ...['a\r\nhost: secret', 'a\nb', 'a\rb', 'a\0b', `a\r\n\r\n${ADMIN}`].map(
    (value): Case => [`a value of ${JSON.stringify(value)}`, withField('x', value), null, RESET, ''],
  ),
  ...['x y', 'x:y', 'X', '', 'x\r\nhost', 'x\0', 'x(y)', 'x\xe1', 'x\t'].map(
    (name): Case => [`a name of ${JSON.stringify(name)}`, withField(name, 'z'), null, RESET, ''],
  ),
  ['a transfer-encoding within a name', withField('transfer-encoding: chunked\r\nx', 'z'), null, RESET, ''],
];

const PSEUDO: readonly Case[] = [
  ...[
    '/x HTTP/1.1\r\nHost: secret',
    '/x y',
    '/x\ty',
    '/x\0',
    'x',
    '*',
    'http://secret/x',
    '/\xe1dmin',
    '/..;/admin',
    '/a/..%2fadmin',
    '/admin%00',
  ].map((path): Case => [`a path of ${JSON.stringify(path)}`, withPseudo({ ':path': path }), null, answerTo(path), '']),
  ...['/admin', '/a/../admin', '/%61dmin', '/a/%2e%2e/admin', '/a\\..\\admin', '/admin#x'].map(
    (path): Case => [`${path} is refused`, withPseudo({ ':path': path }), null, '403', ''],
  ),
  ...['//admin', '/%2fadmin', '/x?/../admin'].map(
    (path): Case => [`${path} is passed on`, withPseudo({ ':path': path }), null, '200', `GET ${path} a []`],
  ),
  ...['GET /admin', 'get', 'GET\r\nx: y', ''].map(
    (method): Case => [`a method of ${JSON.stringify(method)}`, withPseudo({ ':method': method }), null, answerTo(method), ''],
  ),
  ['a method that is refused', withPseudo({ ':method': 'DELETE' }), null, '403', ''],
  ...['a/b', 'secret@a', 'a b', '', 'a,secret', 'a\\secret', '[::1'].map(
    (authority): Case => [
      `an authority of ${JSON.stringify(authority)}`,
      withPseudo({ ':authority': authority }),
      null,
      '400',
      '',
    ],
  ),
  ['an authority that is refused', withPseudo({ ':authority': 'secret' }), null, '403', ''],
  ['neither authority nor host', withPseudo({ ':authority': null }), null, '400', ''],
  ['a host alone', [...withPseudo({ ':authority': null }), ['host', 'b']], null, '200', 'GET /x b []'],
  ['a host alone that is refused', [...withPseudo({ ':authority': null }), ['host', 'secret']], null, '403', ''],
  ['a host that is the authority', withField('host', 'a'), null, '200', GET],
  ['a host that is not the authority is nobody’s', withField('host', 'secret'), null, '200', GET],
  ['two hosts without an authority', [...withPseudo({ ':authority': null }), ['host', 'a'], ['host', 'secret']], null, '400', ''],
  ['two hosts beside an authority are nobody’s', [...withField('host', 'a'), ['host', 'a']], null, '200', GET],
  ...HEAD.map(([name, value]): Case => [`two of ${name}`, [...HEAD, [name, value]], null, RESET, '']),
  ...[':method', ':scheme', ':path'].map((name): Case => [`no ${name}`, withPseudo({ [name]: null }), null, RESET, '']),
  ['a pseudo header behind others', [['x', 'y'], ...HEAD], null, RESET, ''],
  ['a pseudo header of responses', [...HEAD, [':status', '200']], null, RESET, ''],
  ['a pseudo header that nobody knows', [...HEAD, [':x', 'y']], null, RESET, ''],
  ['an extended CONNECT to what is refused', websocket('/a/../admin'), '', '403', ''],
  ['an extended CONNECT that has a length', [...websocket('/x'), ['content-length', '0']], '', RESET, ''],
  ['a protocol without CONNECT', [...HEAD, [':protocol', 'websocket']], null, RESET, ''],
  ['CONNECT with a path', withPseudo({ ':method': 'CONNECT' }), null, RESET, ''],
  ['CONNECT', withPseudo({ ':method': 'CONNECT', ':path': null, ':scheme': null, ':authority': 'secret:80' }), null, '404', ''],
  [
    'headers that speak of hosts and paths are only headers',
    [...HEAD, ['x-original-url', '/admin'], ['x-forwarded-host', 'secret']],
    null,
    '200',
    GET,
  ],
  ['a cookie in pieces', [...HEAD, ['cookie', 'a=b'], ['cookie', 'c=d']], null, '200', GET],
];

const TRAILERS: readonly (readonly [name: string, value: string, answer: string])[] = [
  ['content-length', '50', '200'],
  ['host', 'secret', '200'],
  ['transfer-encoding', 'chunked', RESET],
  ['connection', 'close', RESET],
  [':path', '/admin', RESET],
  ['x y', 'z', RESET],
  ['x', 'a\r\nb', RESET],
];

/** Control characters are an error of the stream, what is only no path or no method of ours gets 400. */
function answerTo(value: string): string {
  return /[\r\n\0]/.test(value) ? RESET : '400';
}

/** One request on a connection of its own: its status, or how its stream or connection ended. */
async function ask(
  t: TestContext,
  port: number,
  fields: readonly Header[],
  body: string | null,
  trailers: readonly Header[] = [],
): Promise<string> {
  const client = await rawClient(t, port);
  const frames = [PREFACE, rawFrame(FRAME.settings, 0, 0)];
  frames.push(rawFrame(FRAME.headers, FLAG.endHeaders | (body === null ? FLAG.endStream : 0), 1, encodeHeaders(fields)));
  if (body !== null)
    frames.push(rawFrame(FRAME.data, trailers.length === 0 ? FLAG.endStream : 0, 1, Buffer.from(body, 'latin1')));
  if (trailers.length > 0) frames.push(rawFrame(FRAME.headers, FLAG.endHeaders | FLAG.endStream, 1, encodeHeaders(trailers)));
  client.socket.write(Buffer.concat(frames));
  await until(() => client.ended() || answerIn(client.received()) !== '');
  const answer = answerIn(client.received());
  client.socket.destroy();
  return answer;
}

function answerIn(received: string): string {
  const decoder = new HpackDecoder(100_000);
  let status = '';
  for (const { type, flags, streamId, payload } of framesOf(Buffer.from(received, 'latin1'), false)) {
    if (type === FRAME.rstStream) return status === '' ? `reset ${payload.readUInt32BE(0)}` : status;
    if (type === FRAME.goaway) return `goaway ${payload.readUInt32BE(4)}`;
    if (type === FRAME.headers) status = decoder.decode(payload)?.[0]?.[1] ?? '';
    if (streamId === 1 && (flags & FLAG.endStream) !== 0 && type !== FRAME.windowUpdate) return status;
  }
  return '';
}

for (const [title, cases] of [
  ['fields and bodies', FIELDS],
  ['pseudo headers', PSEUDO],
] as const) {
  test(`W15 W22 request smuggling from HTTP/2 to HTTP/1.1: ${title} (${cases.length} cases)`, async (t) => {
    const { rig, heard, leaked } = await startGuarded(t, 'BASE');
    for (const [name, fields, body, answer, upstream] of cases) {
      const before = heard.length;
      const got = await ask(t, rig.port, fields, body);
      assert.deepEqual({ name, got, heard: heard.slice(before).join(', ') }, { name, got: answer, heard: upstream });
      assert.deepEqual(leaked, [], name);
    }
  });
}

test(`request smuggling from HTTP/2 to HTTP/1.1: trailers (${TRAILERS.length} cases)`, async (t) => {
  const { rig, heard, leaked } = await startGuarded(t, 'BASE');
  for (const [name, value, answer] of TRAILERS) {
    const before = heard.length;
    const got = await ask(t, rig.port, HEAD, 'hello', [[name, value]]);
    const want = answer === '200' ? ['GET /x a [hello]'] : [];
    assert.deepEqual({ name, got, heard: heard.slice(before) }, { name, got: answer, heard: want });
    assert.deepEqual(leaked, [], name);
  }
});
