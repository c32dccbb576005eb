import assert from 'node:assert/strict';
import { once } from 'node:events';
import http2 from 'node:http2';
import type net from 'node:net';
import test, { type TestContext } from 'node:test';
import grpc from '@grpc/grpc-js';
import { rawClient, startRawApp } from './clients.testing.ts';
import { ask2, http2Client, startHttp2App } from './http2-clients.testing.ts';
import { type Rig, startRig, until } from './waypoint-rig.testing.ts';

/** Fields that occur more than once, others between them, and values that hold commas themselves. */
const REQUEST: readonly (readonly [string, string])[] = [
  ['x-meta', 'b'],
  ['x-data-bin', 'AAE'],
  ['x-meta', 'a'],
  ['x-data-bin', 'AAI,AAM'],
  ['x-meta', 'b'],
];
const RESPONSE: readonly (readonly [string, string])[] = [
  ...REQUEST,
  ['set-cookie', 'one=1; Expires=Thu, 01 Jan 2026 00:00:00 GMT'],
  ['set-cookie', 'two=2'],
  ['www-authenticate', 'Basic realm="a, b"'],
  ['set-cookie', 'one=3'],
  ['www-authenticate', 'Digest realm="c"'],
];
const BODY = 'body';

type Pairs = readonly (readonly [string, string])[];
/** What an app or a client got: of the fields above, those with their names, in order. */
type Got = { fields: [string, string][]; body: string };

function pairsOf(raw: readonly string[]): [string, string][] {
  const pairs = raw.flatMap((name, at): [string, string][] => (at % 2 === 0 ? [[name, raw[at + 1] ?? '']] : []));
  return pairs.filter(([name]) => RESPONSE.some(([known]) => known === name.toLowerCase()));
}

const linesOf = (pairs: Pairs): string => pairs.map(([name, value]) => `${name}: ${value}\r\n`).join('');
const chunked = (body: string, trailers: Pairs): string =>
  `transfer-encoding: chunked\r\n\r\n${body.length.toString(16)}\r\n${body}\r\n0\r\n${linesOf(trailers)}\r\n`;

/** A whole message with a chunked body in `text`, from its first line. */
function readHttp1(text: string): Got | null {
  const headEnd = text.indexOf('\r\n\r\n');
  const match = /^([0-9a-f]+)\r\n([\s\S]*)\r\n0\r\n([\s\S]*)\r\n$/.exec(text.slice(headEnd + 4));
  if (headEnd < 0 || match === null) return null;
  const lines = [...text.slice(0, headEnd).split('\r\n').slice(1), ...(match[3] ?? '').split('\r\n').filter(Boolean)];
  const raw = lines.flatMap((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()]);
  return { fields: pairsOf(raw), body: match[2] ?? '' };
}

type Side = { port: number; heard: Got[] };

/** Apps answer with the response's fields, in the head and in trailers. Of HTTP/1.1: bytes of our own, chunked. */
async function http1App(t: TestContext): Promise<Side> {
  const side: Side = { port: 0, heard: [] };
  side.port = await startRawApp(t, (socket) => {
    let text = '';
    socket.on('data', (data) => {
      text += data.toString('latin1');
      const got = readHttp1(text);
      if (got === null) return;
      side.heard.push(got);
      text = '';
      socket.write(`HTTP/1.1 200 OK\r\n${linesOf(RESPONSE)}${chunked(BODY, REQUEST)}`, 'latin1');
    });
  });
  return side;
}

async function http2App(t: TestContext): Promise<Side> {
  const side: Side = { port: 0, heard: [] };
  const server = http2.createServer();
  server.on('stream', (stream, _headers, _flags, raw: string[]) => {
    const got: Got = { fields: pairsOf(raw), body: '' };
    stream.on('data', (data) => {
      got.body += data;
    });
    stream.on('trailers', (_trailers, _flags, rawTrailers: string[]) => got.fields.push(...pairsOf(rawTrailers)));
    stream.on('end', () => {
      side.heard.push(got);
      stream.on('wantTrailers', () => stream.sendTrailers(grouped(REQUEST)));
      stream.respond({ ':status': 200, ...grouped(RESPONSE) }, { waitForTrailers: true });
      stream.end(BODY);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  side.port = (server.address() as net.AddressInfo).port;
  return side;
}

/** As node:http2 takes them: the values of a name together, in order. */
function grouped(pairs: Pairs): Record<string, string[]> {
  const map: Record<string, string[]> = {};
  for (const [name, value] of pairs) map[name] = [...(map[name] ?? []), value];
  return map;
}

/** The same, from what was got: the order of values of one name is kept, that of different names need not be. */
const valuesOf = (pairs: Pairs): Record<string, string[]> => grouped(pairs.map(([name, value]) => [name.toLowerCase(), value]));

async function askHttp1(t: TestContext, rig: Rig): Promise<Got> {
  const client = await rawClient(t, rig.port);
  client.socket.write(`POST / HTTP/1.1\r\nhost: a\r\n${linesOf(REQUEST)}${chunked(BODY, REQUEST)}`, 'latin1');
  await until(() => readHttp1(client.received()) !== null);
  const first = readHttp1(client.received());
  // Where a message with trailers ended is known: the next one on the same connection is read as what it is.
  const length = client.received().length;
  client.socket.write(`POST / HTTP/1.1\r\nhost: a\r\n${linesOf(REQUEST)}${chunked(BODY, [])}`, 'latin1');
  await until(() => readHttp1(client.received().slice(length)) !== null);
  assert.ok(first !== null);
  return first;
}

async function askHttp2(t: TestContext, rig: Rig): Promise<Got> {
  const stream = http2Client(t, rig.port).request(
    { ':method': 'POST', ':path': '/', ...grouped(REQUEST) },
    { waitForTrailers: true },
  );
  const got: Got = { fields: [], body: '' };
  stream.on('wantTrailers', () => stream.sendTrailers(grouped(REQUEST)));
  stream.on('response', (_headers, _flags, raw: string[]) => got.fields.push(...pairsOf(raw)));
  stream.on('trailers', (_headers, _flags, raw: string[]) => got.fields.push(...pairsOf(raw)));
  stream.on('data', (data) => {
    got.body += data;
  });
  stream.end(BODY);
  await once(stream, 'close');
  return got;
}

/** HTTP/1.1 has no trailers here, as in Envoy: they are checked and dropped. HTTP/2 to HTTP/2 they go on. */
for (const client of ['HTTP/1.1', 'HTTP/2'])
  for (const app of ['HTTP/1.1', 'HTTP/2'])
    test(`F14: ${client} client, ${app} app: what occurs twice stays apart and in order, both ways`, async (t) => {
      const side = await (app === 'HTTP/2' ? http2App : http1App)(t);
      const rig = await startRig({ appProtocol: app === 'HTTP/2' ? 'http2' : 'http11' });
      t.after(() => rig.close());
      rig.endpoints([side.port]);
      const got = await (client === 'HTTP/2' ? askHttp2 : askHttp1)(t, rig);
      const trailers = client === 'HTTP/2' && app === 'HTTP/2' ? REQUEST : [];
      assert.deepEqual(valuesOf(side.heard[0]?.fields ?? []), grouped([...REQUEST, ...trailers]));
      assert.deepEqual(valuesOf(got.fields), grouped([...RESPONSE, ...trailers]));
      assert.deepEqual([side.heard[0]?.body, got.body], [BODY, BODY]);
      if (client === 'HTTP/1.1' && app === 'HTTP/1.1') {
        assert.deepEqual(side.heard[0]?.fields, REQUEST);
        assert.deepEqual(got.fields, RESPONSE);
      }
    });

test('F14: a cookie that HTTP/2 splits is one for an HTTP/1.1 app, and stays split for one of HTTP/2', async (t) => {
  const cookies = { cookie: ['a=1', 'b=2', 'a=3'] };
  const heard: string[] = [];
  const port = await startRawApp(t, (socket) =>
    socket.on('data', (data) => {
      heard.push(data.toString('latin1'));
      socket.write('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');
    }),
  );
  const app2 = await startHttp2App(t, (stream) => {
    stream.respond({ ':status': 200 });
    stream.end();
  });
  for (const [appProtocol, at] of [
    ['http11', port],
    ['http2', app2.port],
  ] as const) {
    const rig = await startRig({ appProtocol });
    t.after(() => rig.close());
    rig.endpoints([at]);
    assert.equal((await ask2(http2Client(t, rig.port), { ':path': '/', ...cookies })).status, 200);
  }
  assert.match(heard[0] ?? '', /\r\ncookie: a=1; b=2; a=3\r\n/);
  assert.equal(app2.heard[0]?.headers.cookie, 'a=1; b=2; a=3');
});

/** Two values that no text can hold, one of them empty of bits, and the last one equal to the first. */
const BINARY = [Buffer.from([0, 1, 255, 44]), Buffer.from([0]), Buffer.from([0, 1, 255, 44])];
const METHOD = {
  path: '/weft.Echo/Talk',
  requestSerialize: (text: string) => Buffer.from(text),
  requestDeserialize: String,
  responseSerialize: (text: string) => Buffer.from(text),
  responseDeserialize: String,
} as const;

function metadataOf(): grpc.Metadata {
  const metadata = new grpc.Metadata();
  for (const value of BINARY) metadata.add('x-data-bin', value);
  for (const value of ['b', 'a', 'b']) metadata.add('x-meta', value);
  return metadata;
}

/** grpc-js reads texts of one name as one, joined in order; binary values it takes apart, which fails if anything is amiss. */
function assertMetadata(metadata: grpc.Metadata, where: string): void {
  assert.deepEqual(metadata.get('x-data-bin'), BINARY, where);
  assert.deepEqual(metadata.get('x-meta').join(', '), 'b, a, b', where);
}

test('F14: a real gRPC client and server: metadata in heads and trailers, unary and streaming, both ways', async (t) => {
  const server = new grpc.Server();
  const heard: grpc.Metadata[] = [];
  server.addService(
    {
      unary: { ...METHOD, path: '/weft.Echo/Say', requestStream: false, responseStream: false },
      talk: { ...METHOD, requestStream: true, responseStream: true },
    },
    {
      unary: (call: grpc.ServerUnaryCall<string, string>, answer: grpc.sendUnaryData<string>) => {
        heard.push(call.metadata);
        call.sendMetadata(metadataOf());
        answer(null, call.request, metadataOf());
      },
      talk: (call: grpc.ServerDuplexStream<string, string>) => {
        heard.push(call.metadata);
        call.sendMetadata(metadataOf());
        call.on('data', (text: string) => call.write(text));
        call.on('end', () =>
          call.emit('error', { code: grpc.status.DATA_LOSS, details: 'told with its metadata', metadata: metadataOf() }),
        );
      },
    },
  );
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  );
  t.after(() => server.forceShutdown());
  const rig = await startRig({ appProtocol: 'grpc' });
  t.after(() => rig.close());
  rig.endpoints([port]);
  const client = new grpc.Client(`127.0.0.1:${rig.port}`, grpc.credentials.createInsecure());
  t.after(() => client.close());
  const got: [string, grpc.Metadata][] = [];

  await new Promise<void>((resolve, reject) => {
    const { requestSerialize, responseDeserialize } = METHOD;
    const call = client.makeUnaryRequest(
      '/weft.Echo/Say',
      requestSerialize,
      responseDeserialize,
      'hello',
      metadataOf(),
      (error, said) => (error === null ? resolve(assert.equal(said, 'hello')) : reject(error)),
    );
    call.on('metadata', (metadata) => got.push(['unary head', metadata]));
    call.on('status', ({ metadata }) => got.push(['unary trailers', metadata]));
  });
  await new Promise<void>((resolve) => {
    const { path, requestSerialize, responseDeserialize } = METHOD;
    const call = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, metadataOf());
    call.on('metadata', (metadata) => got.push(['stream head', metadata]));
    call.on('error', () => {});
    call.on('status', ({ code, details, metadata }) => {
      assert.deepEqual([code, details], [grpc.status.DATA_LOSS, 'told with its metadata']);
      got.push(['stream trailers', metadata]);
      resolve();
    });
    call.on('data', () => call.end());
    call.write('hello');
  });
  assert.deepEqual(got.map(([where]) => where).sort(), ['stream head', 'stream trailers', 'unary head', 'unary trailers']);
  for (const [where, metadata] of got) assertMetadata(metadata, where);
  assert.equal(heard.length, 2);
  for (const metadata of heard) assertMetadata(metadata, 'request');
});
