import assert from 'node:assert/strict';
import { type Duplex, duplexPair } from 'node:stream';
import test from 'node:test';
import { asStream } from '#platform/io/node/as-stream.testing.ts';
import { StringHeaders } from '#protocol/http/header-block.ts';
import type { ClientEvents, RequestHead } from '#protocol/http/message.ts';
import { Http1ClientConnection } from './client-connection.ts';

type Rig = { server: Duplex; connection: Http1ClientConnection; log: string[]; events: ClientEvents; wire(): string };

/** A connection whose events are written down in order. */
function rig(): Rig {
  const [near, server] = duplexPair();
  const log: string[] = [];
  let wire = '';
  server.on('data', (data: Buffer) => (wire += data.toString('latin1')));
  server.on('end', () => server.end()); // as any server does
  const connection = new Http1ClientConnection(asStream(near), {
    onEnding: () => {},
    onIdle: () => log.push('idle'),
    onClosed: () => log.push('closed'),
    onMistake: (error) => log.push(String(error)),
  });
  const events: ClientEvents = {
    onInform: (head) => log.push(`inform ${head.status}`),
    onResponse: (head, end) => log.push(`response ${head.status} ${head.headers.toPairs().join('=')}${end ? ' end' : ''}`),
    onResponseBody: (data) => log.push(`body ${data}`) > 0,
    onResponseEnd: () => log.push('end'),
    onUpgrade: (head, stream) => {
      log.push(`upgrade ${head.status}`);
      stream.read({
        bytes(buffer, start, end) {
          log.push(buffer.toString('latin1', start, end));
          return end - start;
        },
        end() {},
        writable() {},
        over() {},
      });
    },
    onFailure: ({ kind, staleConnection }) => log.push(`failure ${kind}${staleConnection ? ' stale' : ''}`),
    onUpstreamWritable: () => {},
    onResponseTurnEnd: () => {},
  };
  return { server, connection, log, events, wire: () => wire };
}

function request(partial: Partial<RequestHead> = {}): RequestHead {
  return {
    version: 'http1',
    method: 'GET',
    target: '/x',
    authority: 'a',
    headers: new StringHeaders(['y', '1']),
    hasBody: false,
    contentLength: null,
    upgrade: null,
    ...partial,
  };
}

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

async function answer(raw: string, asked: Partial<RequestHead> = {}, close = false): Promise<string[]> {
  const { server, connection, log, events } = rig();
  connection.send(request(asked), true, events);
  server.write(Buffer.from(raw, 'latin1'));
  if (close) server.end();
  await settle();
  return log;
}

const CASES: { name: string; raw: string; asked?: Partial<RequestHead>; close?: boolean; want: string[] }[] = [
  {
    name: 'a response with a length frees the connection',
    raw: 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nA: b\r\n\r\nhi',
    want: ['response 200 a=b', 'body hi', 'idle', 'end'],
  },
  {
    name: 'a chunked response',
    raw: 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n',
    want: ['response 200 ', 'body hi', 'idle', 'end'],
  },
  {
    name: 'a response until the connection closes',
    raw: 'HTTP/1.1 200 OK\r\n\r\nhi',
    close: true,
    want: ['response 200 ', 'body hi', 'end', 'closed'],
  },
  {
    name: 'HTTP/1.0 does not keep the connection',
    raw: 'HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nhi',
    want: ['response 200 ', 'body hi', 'end', 'closed'],
  },
  {
    name: 'connection: close does not either',
    raw: 'HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n',
    want: ['response 200  end', 'end', 'closed'],
  },
  {
    name: 'a response to HEAD has no body',
    asked: { method: 'HEAD' },
    raw: 'HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n',
    want: ['response 200  end', 'idle', 'end'],
  },
  { name: '204 has no body', raw: 'HTTP/1.1 204 \r\n\r\n', want: ['response 204  end', 'idle', 'end'] },
  {
    name: '304 has no body whatever its length says',
    raw: 'HTTP/1.1 304 Not Modified\r\ncontent-length: 7\r\n\r\n',
    want: ['response 304  end', 'idle', 'end'],
  },
  {
    name: 'interim responses come first',
    raw: 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 x\r\n\r\nHTTP/1.1 200\r\ncontent-length: 0\r\n\r\n',
    want: ['inform 100', 'inform 103', 'response 200  end', 'idle', 'end'],
  },
  {
    name: 'bytes after a response lose the connection, not the response',
    raw: 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\n\r\n',
    want: ['response 200 ', 'body hi', 'end', 'closed'],
  },
  {
    name: 'CL and TE together are an error',
    raw: 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\nhi',
    want: ['failure protocol-error', 'closed'],
  },
  {
    name: 'a malformed header is an error',
    raw: 'HTTP/1.1 200 OK\r\nbad header\r\n\r\n',
    want: ['failure protocol-error', 'closed'],
  },
  { name: 'a bare LF is an error', raw: 'HTTP/1.1 200 OK\n\n', want: ['failure protocol-error', 'closed'] },
  { name: 'a malformed status line is an error', raw: 'HTTP/1.1 2000 OK\r\n\r\n', want: ['failure protocol-error', 'closed'] },
  {
    name: '101 without being asked is an error',
    raw: 'HTTP/1.1 101 x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n',
    want: ['failure protocol-error', 'closed'],
  },
  {
    name: 'W29 101 hands the bytes over',
    asked: { upgrade: 'websocket' },
    raw: 'HTTP/1.1 101 x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nraw',
    want: ['closed', 'upgrade 101', 'raw'],
  },
  {
    name: 'too many interim responses are an error',
    raw: 'HTTP/1.1 102 x\r\n\r\n'.repeat(33),
    want: [...Array<string>(32).fill('inform 102'), 'failure protocol-error', 'closed'],
  },
  {
    name: 'a head without end is too large',
    raw: `HTTP/1.1 200 OK\r\nx: ${'y'.repeat(62_000)}`,
    want: ['failure head-too-large', 'closed'],
  },
  { name: 'a connection that closes before the response', raw: '', close: true, want: ['failure closed', 'closed'] },
  {
    name: 'a connection that closes within the body',
    raw: 'HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nhi',
    close: true,
    want: ['response 200 ', 'body hi', 'failure closed', 'closed'],
  },
];

for (const { name, raw, asked, close, want } of CASES) {
  test(`http1 client: ${name}`, async () => assert.deepEqual(await answer(raw, asked, close), want));
}

test('http1 client: a request is written with framing of its own', async () => {
  const { connection, events, wire } = rig();
  connection.send(request({ method: 'POST', hasBody: true, contentLength: 3 }), false, events);
  connection.write(Buffer.from('abc'));
  connection.end(null);
  await settle();
  assert.equal(wire(), 'POST /x HTTP/1.1\r\nhost: a\r\ny: 1\r\ncontent-length: 3\r\n\r\nabc');
});

test('http1 client: a body of unknown length is chunked; a GET without body has no framing', async () => {
  const chunked = rig();
  chunked.connection.send(request({ method: 'PUT', hasBody: true }), false, chunked.events);
  chunked.connection.write(Buffer.from('abc'));
  chunked.connection.end(null);
  const plain = rig();
  plain.connection.send(request(), true, plain.events);
  await settle();
  assert.equal(chunked.wire(), 'PUT /x HTTP/1.1\r\nhost: a\r\ny: 1\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n');
  assert.equal(plain.wire(), 'GET /x HTTP/1.1\r\nhost: a\r\ny: 1\r\n\r\n');
});

test('http1 client: HTTP/2 cookies become one header', async () => {
  const { connection, events, wire } = rig();
  const { headerIdOf } = await import('#protocol/http/header-names.ts');
  connection.send(
    request({ headers: new StringHeaders(['cookie', 'a=1', 'x', 'y', 'cookie', 'b=2'], headerIdOf) }),
    true,
    events,
  );
  await settle();
  assert.match(wire(), /x: y\r\ncookie: a=1; b=2\r\n\r\n$/);
});

test('http1 client: a reused connection that dies before a byte came is stale; a fresh one is not', async () => {
  const { server, connection, log, events } = rig();
  connection.send(request(), true, events);
  server.write('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');
  await settle();
  assert.equal(connection.capacity(), 1);
  connection.send(request(), true, events);
  assert.equal(connection.capacity(), 0);
  server.end();
  await settle();
  assert.deepEqual(log.slice(-2), ['failure closed stale', 'closed']);
});

test('http1 client: what an idle peer says never answers the next request', async () => {
  const { server, connection, log, events } = rig();
  connection.send(request(), true, events);
  server.write('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');
  await settle();
  server.write('HTTP/1.1 200 OK\r\n');
  await settle();
  assert.equal(connection.capacity(), 0);
  assert.equal(log.at(-1), 'closed');
});

test('W78 http1 client: a response that ends before its request is delivered, the connection is not used again', async () => {
  const { server, connection, log, events } = rig();
  connection.send(request({ method: 'POST', hasBody: true, contentLength: 9 }), false, events);
  connection.flush();
  server.write('HTTP/1.1 413 x\r\ncontent-length: 0\r\n\r\n');
  await settle();
  assert.deepEqual(log, ['response 413  end', 'end', 'closed']);
});

test('http1 client: the peer’s idle limit is known', async () => {
  const { server, connection, events } = rig();
  connection.send(request(), true, events);
  server.write('HTTP/1.1 200 OK\r\nKeep-Alive: timeout=5, max=9\r\ncontent-length: 0\r\n\r\n');
  await settle();
  assert.equal(connection.keepAliveTimeoutSeconds, 5);
});
