import assert from 'node:assert/strict';
import { type Duplex, duplexPair } from 'node:stream';
import test from 'node:test';
import { HTTP } from '#model/settings/http.ts';
import { asStream } from '#platform/io/node/as-stream.testing.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import { StringHeaders } from '#protocol/http/header-block.ts';
import type { ProtocolProblem, RequestHead, ServerEvents, ServerStream } from '#protocol/http/message.ts';
import { Http1ServerConnection } from './server-connection.ts';

type Seen = {
  head: RequestHead;
  stream: ServerStream;
  target: string;
  body: string;
  ended: boolean;
  gone: string | null;
  accepts: boolean;
};

type Rig = {
  client: Duplex;
  connection: Http1ServerConnection;
  clock: SteppedClock;
  seen: Seen[];
  problems: ProtocolProblem[];
  mistakes: string[];
  sent(): string;
  closed(): boolean;
};

/** A connection whose requests are recorded and answered by the test (or at once by `answer`). */
function rig(answer: ((seen: Seen) => void) | null = null, leave?: () => void): Rig {
  const [client, server] = duplexPair();
  const clock = new SteppedClock();
  const seen: Seen[] = [];
  const problems: ProtocolProblem[] = [];
  const mistakes: string[] = [];
  let sent = '';
  let closed = false;
  client.on('data', (data: Buffer) => (sent += data.toString('latin1')));
  client.on('end', () => (closed = true));
  const onRequest = (head: RequestHead, stream: ServerStream): ServerEvents => {
    const request: Seen = { head, stream, target: head.target, body: '', ended: !head.hasBody, gone: null, accepts: true };
    seen.push(request);
    answer?.(request);
    return {
      onBody: (data) => {
        request.body += data.toString();
        return request.accepts;
      },
      onBodyEnd: () => (request.ended = true),
      onGone: (why) => (request.gone = why),
      onDownstreamWritable: () => {},
      onRequestTurnEnd: () => {},
    };
  };
  const stream = asStream(server);
  const connection = new Http1ServerConnection(
    leave === undefined ? stream : Object.assign(stream, { leave }),
    {
      pathNormalization: 'BASE',
      onRequest,
      onProblem: (problem) => problems.push(problem),
      onMistake: (error) => mistakes.push(String(error)),
    },
    clock,
    null,
  );
  return { client, connection, clock, seen, problems, mistakes, sent: () => sent, closed: () => closed };
}

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

function reply(stream: ServerStream, status: number, body: string, pairs: string[] = []): void {
  stream.respond({ status, headers: new StringHeaders(pairs), contentLength: body.length }, false);
  stream.write(Buffer.from(body));
  stream.end(null);
}

const GET = (target: string, ...extra: string[]) =>
  `GET ${target} HTTP/1.1\r\nHost: a\r\n${extra.map((line) => `${line}\r\n`).join('')}\r\n`;

test('http1 server: a response is framed by its length and the connection goes on', async () => {
  const { client, seen, sent } = rig(({ stream }) => reply(stream, 200, 'hello', ['x-a', '1']));
  client.write(GET('/1'));
  await settle();
  assert.equal(sent(), 'HTTP/1.1 200 OK\r\nx-a: 1\r\ncontent-length: 5\r\n\r\nhello');
  client.write(GET('/2'));
  await settle();
  assert.deepEqual(
    seen.map(({ target }) => target),
    ['/1', '/2'],
  );
});

test('http1 server: pipelined requests are taken one after the other', async () => {
  const { client, seen, sent } = rig();
  client.write(GET('/1') + GET('/2') + GET('/3'));
  await settle();
  assert.deepEqual(
    seen.map(({ target }) => target),
    ['/1'],
  );
  reply(seen[0]?.stream as ServerStream, 200, 'one');
  await settle();
  assert.deepEqual(
    seen.map(({ target }) => target),
    ['/1', '/2'],
  );
  reply(seen[1]?.stream as ServerStream, 200, 'two');
  await settle();
  reply(seen[2]?.stream as ServerStream, 200, 'three');
  await settle();
  assert.match(sent(), /one[\s\S]*two[\s\S]*three$/);
});

test('http1 server: many pipelined requests answered at once do not recurse', async () => {
  const { client, seen } = rig(({ stream }) => reply(stream, 204, ''));
  client.write(GET('/').repeat(20_000));
  for (let turn = 0; turn < 300 && seen.length < 20_000; turn++) await settle();
  assert.equal(seen.length, 20_000);
});

test('http1 server: a body waits until it is wanted and stops when told', async () => {
  const { client, seen } = rig();
  client.write('POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nabc');
  await settle();
  const [request] = seen;
  assert.ok(request);
  assert.equal(request.body, '');
  request.accepts = false;
  request.stream.startBody();
  await settle(); // nothing is delivered from inside of a call
  assert.equal(request.body, 'abc');
  client.write('def');
  await settle();
  assert.equal(request.body, 'abc');
  request.accepts = true;
  request.stream.resumeBody();
  client.write('ghiGET');
  await settle();
  assert.equal(request.body, 'abcdefghi');
  assert.ok(request.ended);
});

test('http1 server: a body whose last piece was too much does not hold up the next request', async () => {
  const { client, seen } = rig();
  client.write('POST /1 HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\n');
  await settle();
  const [request] = seen;
  assert.ok(request);
  request.accepts = false;
  request.stream.startBody();
  client.write('abc');
  await settle();
  assert.ok(request.ended);
  reply(request.stream, 200, 'x');
  client.write(GET('/2'));
  await settle();
  assert.equal(seen.length, 2);
});

test('http1 server: a response of unknown length is chunked', async () => {
  const { client, sent } = rig(({ stream }) => {
    stream.respond({ status: 200, headers: new StringHeaders([]), contentLength: null }, false);
    stream.write(Buffer.from('abc'));
    stream.write(Buffer.from('0123456789abcdef'));
    stream.end(new StringHeaders(['t', 'dropped']));
  });
  client.write(GET('/'));
  await settle();
  assert.equal(sent(), 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n');
});

test('http1 server: HEAD, 204 and 304 carry no body', async () => {
  const { client, sent } = rig(({ stream, target }) => reply(stream, Number(target.slice(1)), 'body'));
  client.write(`HEAD /200 HTTP/1.1\r\nhost: a\r\n\r\n${GET('/204')}${GET('/304')}`);
  await settle();
  assert.equal(
    sent(),
    'HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nHTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 304 Not Modified\r\ncontent-length: 4\r\n\r\n',
  );
});

test('http1 server: the end of a client is not waited for that has asked for the last time, unless a body may have something behind it', async () => {
  const cases = [
    { request: GET('/1', 'Connection: close'), left: 1 },
    { request: 'POST /1 HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 2\r\n\r\nhi', left: 0 },
    { request: GET('/1'), left: 0 },
  ];
  for (const { request, left } of cases) {
    let leaves = 0;
    const { client, seen, connection } = rig(null, () => leaves++);
    client.write(request);
    await settle();
    const [first] = seen;
    assert.ok(first !== undefined);
    first.stream.startBody();
    await settle();
    reply(first.stream, 200, 'ok');
    connection.drain();
    await settle();
    assert.equal(leaves, left, request);
  }
});

test('http1 server: connection: close is honoured and announced', async () => {
  const { client, seen, sent, closed } = rig(({ stream }) => reply(stream, 200, 'x'));
  client.write(GET('/1', 'Connection: close') + GET('/2'));
  await settle();
  assert.match(sent(), /connection: close\r\n/);
  assert.equal(seen.length, 1);
  assert.ok(closed());
});

test('W23 http1 server: a refused message is answered, then the connection closes gently', async () => {
  const { client, clock, problems, sent, closed } = rig();
  client.write('GET / HTTP/1.1\r\nhost: a\r\nbad header\r\n\r\n');
  await settle();
  assert.match(sent(), /^HTTP\/1\.1 400 Bad Request\r\n.*connection: close\r\n.*malformed_header$/s);
  assert.deepEqual(problems, [{ status: 400, details: 'http1.malformed_header' }]);
  assert.ok(closed());
  client.write('more that nobody reads');
  await settle();
  clock.advance(HTTP.lingerMs);
  await settle();
  assert.ok(client.readableEnded);
});

test('http1 server: a malformed chunk is answered 400 before a response, and cuts one that has begun', async () => {
  const chunked = 'POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1\r\nab';
  const before = rig(({ stream }) => queueMicrotask(() => stream.startBody()));
  before.client.write(chunked);
  await settle();
  assert.match(before.sent(), /^HTTP\/1\.1 400 /);
  assert.equal(before.seen[0]?.gone, 'protocol-error');
  const after = rig(({ stream }) => {
    queueMicrotask(() => stream.startBody());
    stream.respond({ status: 200, headers: new StringHeaders([]), contentLength: null }, false);
    stream.flush();
  });
  after.client.write(chunked);
  await settle();
  assert.doesNotMatch(after.sent(), /0\r\n\r\n$/);
});

test('http1 server: an early reply drops a short body and keeps the connection', async () => {
  const { client, seen, sent } = rig(({ stream }) => reply(stream, 403, 'no'));
  client.write('POST /1 HTTP/1.1\r\nhost: a\r\ncontent-length: 6\r\n\r\nabc');
  await settle();
  client.write(`def${GET('/2')}`);
  await settle();
  assert.equal(seen.length, 2);
  assert.doesNotMatch(sent(), /connection: close/);
});

test('http1 server: an early reply to a long, chunked or expected body closes the connection', async () => {
  for (const extra of ['content-length: 100000', 'transfer-encoding: chunked', 'content-length: 3\r\nexpect: 100-continue']) {
    const { client, sent, closed } = rig(({ stream }) => reply(stream, 403, 'no'));
    client.write(`POST / HTTP/1.1\r\nhost: a\r\n${extra}\r\n\r\n`);
    await settle();
    assert.match(sent(), /connection: close/);
    assert.ok(closed(), extra);
  }
});

test('W31 http1 server: an interim response goes out before the final one', async () => {
  const { client, sent } = rig(({ stream }) => {
    stream.inform({ status: 100, headers: new StringHeaders([]), contentLength: null });
    reply(stream, 200, '');
  });
  client.write(GET('/'));
  await settle();
  assert.match(sent(), /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 OK\r\n/);
});

test('http1 server: a client that leaves is reported once', async () => {
  const { client, seen } = rig();
  client.write(GET('/'));
  await settle();
  client.end();
  await settle();
  assert.equal(seen[0]?.gone, 'disconnect');
});

test('W73 http1 server: draining closes an idle connection at once and a busy one after its response', async () => {
  const idle = rig(({ stream }) => reply(stream, 200, ''));
  idle.client.write(GET('/'));
  await settle();
  idle.connection.drain();
  await settle();
  assert.ok(idle.closed());
  const busy = rig();
  busy.client.write(GET('/'));
  await settle();
  busy.connection.drain();
  reply(busy.seen[0]?.stream as ServerStream, 200, 'x');
  await settle();
  assert.match(busy.sent(), /connection: close/);
  assert.ok(busy.closed());
});

test('W73 http1 server: a connection on which nothing was asked yet waits for its first request when it is drained, until that is said twice', async () => {
  const late = rig(({ stream }) => reply(stream, 200, 'x'));
  late.connection.drain();
  await settle();
  assert.ok(!late.closed());
  late.client.write(GET('/'));
  await settle();
  assert.match(late.sent(), /connection: close/);
  assert.ok(late.closed());
  const never = rig();
  never.connection.drain();
  never.connection.drain();
  await settle();
  assert.ok(never.closed());
});

test('http1 server: an idle connection closes after so many rounds', async () => {
  const { connection, closed, client } = rig(({ stream }) => reply(stream, 200, ''));
  connection.closeIfIdle(1);
  client.write(GET('/'));
  await settle();
  connection.closeIfIdle(1);
  await settle();
  assert.ok(!closed());
  connection.closeIfIdle(1);
  await settle();
  assert.ok(closed());
});

test('W29 http1 server: an upgrade hands the bytes over, early ones included', async () => {
  const { client, seen, sent } = rig();
  client.write(`${GET('/', 'Connection: upgrade', 'Upgrade: websocket')}early`);
  await settle();
  const [request] = seen;
  const handed = request?.stream.upgrade({
    status: 101,
    headers: new StringHeaders(['sec-websocket-accept', 'k']),
    contentLength: null,
  });
  assert.ok(handed);
  let early = '';
  handed.read({
    bytes: (buffer, start, end) => {
      early += buffer.toString('latin1', start, end);
      return end - start;
    },
    end() {},
    writable() {},
    over() {},
  });
  handed.write(Buffer.from('raw'), 0, 3);
  await settle();
  assert.equal(early, 'early');
  await settle();
  assert.equal(
    sent(),
    'HTTP/1.1 101 Switching Protocols\r\nsec-websocket-accept: k\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nraw',
  );
});
