import assert from 'node:assert/strict';
import { once } from 'node:events';
import http2 from 'node:http2';
import { connect, createServer, type Socket } from 'node:net';
import test, { type TestContext } from 'node:test';
import fc from 'fast-check';
import { asStream } from '#platform/io/node/as-stream.testing.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import type { ClientStream, Http2Engine, ServerStream } from '#protocol/http/message.ts';
import { nodeHttp2 } from './node-http2.testing.ts';
import { ownHttp2 } from './own-http2.testing.ts';

/** What a client asks; the app answers with the same headers, body and trailers. */
type Asked = { method: string; path: string; headers: [string, string][]; pieces: Buffer[]; trailers: [string, string][] };
/** What came back, or went in. */
type Heard = { head: string[]; body: string; trailers: string[] };

/** Both ends of a TCP connection: over a pair of JavaScript streams node:http2 ends the process (`is_reading_stopped()`) when a large write comes. */
async function socketPair(t: TestContext): Promise<[Socket, Socket]> {
  const listener = createServer({ allowHalfOpen: true, noDelay: true }).listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const address = listener.address();
  assert.ok(address !== null && typeof address === 'object');
  const near = connect({ port: address.port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
  const [far] = (await once(listener, 'connection')) as [Socket];
  t.after(() => {
    near.destroy();
    far.destroy();
  });
  listener.close();
  return [near, far];
}

/** A proxy of one engine between two node:http2 peers: the server half hands on to the client half, as a waypoint does. */
async function startProxy(t: TestContext, engine: Http2Engine): Promise<(asked: Asked) => Promise<[Heard, Heard]>> {
  const heards: Heard[] = [];
  const app = http2.createServer();
  app.on('stream', (stream, _headers, _flags, raw: string[]) => answer(stream, raw, heards));
  const [upstream, appEnd] = await socketPair(t);
  app.emit('connection', appEnd);
  const onMistake = (error: unknown): never => assert.fail(String(error));
  const client = engine.connect(asStream(upstream), { onIdle() {}, onEnding() {}, onClosed() {}, onMistake });
  const [near, far] = await socketPair(t);
  engine.accept(
    asStream(near),
    {
      pathNormalization: 'BASE',
      onProblem: ({ details }) => assert.fail(details),
      onMistake,
      onRequest(head, down) {
        const up: ClientStream = client.send(head, !head.hasBody, relayTo(down));
        down.startBody();
        return {
          onBody: (data) => up.write(data),
          onBodyEnd: (trailers) => up.end(trailers),
          onGone: () => up.abort(),
          onDownstreamWritable: () => up.resume(),
          onRequestTurnEnd: () => up.flush(),
        };
      },
    },
    null,
  );
  const session = http2.connect('http://a', { createConnection: () => far });
  t.after(() => session.destroy());
  return async (asked) => {
    const seen = await ask(session, asked);
    const heard = heards.pop();
    assert.ok(heard !== undefined);
    return [heard, seen];
  };
}

function relayTo(down: ServerStream): Parameters<ReturnType<Http2Engine['connect']>['send']>[2] {
  return {
    onInform: (head) => down.inform(head),
    onResponse: (head, end) => down.respond(head, end),
    onResponseBody: (data) => down.write(data),
    onResponseEnd: (trailers) => down.end(trailers),
    onUpgrade() {},
    onFailure: () => down.reset(),
    onUpstreamWritable: () => down.resumeBody(),
    onResponseTurnEnd: () => down.flush(),
  };
}

function answer(stream: http2.ServerHttp2Stream, raw: string[], heards: Heard[]): void {
  const heard: Heard = { head: raw, body: '', trailers: [] };
  stream.on('trailers', (_trailers, _flags, rawTrailers: string[]) => {
    heard.trailers = rawTrailers;
  });
  stream.on('data', (data: Buffer) => {
    heard.body += data.toString('latin1');
  });
  stream.on('end', () => {
    heards.push(heard);
    stream.on('wantTrailers', () => stream.sendTrailers(objectOf(pairsOf(heard.trailers))));
    stream.respond(
      { ':status': 200, ...objectOf(pairsOf(heard.head).filter(([name]) => name.startsWith('x-'))) },
      { waitForTrailers: true },
    );
    stream.end(Buffer.from(heard.body, 'latin1'));
  });
}

async function ask(session: http2.ClientHttp2Session, { method, path, headers, pieces, trailers }: Asked): Promise<Heard> {
  const stream = session.request({ ':method': method, ':path': path, ...objectOf(headers) }, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers(objectOf(trailers)));
  const seen: Heard = { head: [], body: '', trailers: [] };
  stream.on('response', (_headers, _flags, raw: string[]) => {
    seen.head = raw;
  });
  stream.on('trailers', (_headers, _flags, raw: string[]) => {
    seen.trailers = raw;
  });
  stream.on('data', (data: Buffer) => {
    seen.body += data.toString('latin1');
  });
  for (const piece of pieces) stream.write(piece);
  stream.end();
  await once(stream, 'close');
  return seen;
}

function pairsOf(raw: readonly string[]): [string, string][] {
  return raw.flatMap((name, at): [string, string][] => (at % 2 === 0 ? [[name, raw[at + 1] ?? '']] : []));
}

function objectOf(pairs: readonly [string, string][]): http2.OutgoingHttpHeaders {
  const headers: Record<string, string[]> = {};
  for (const [name, value] of pairs) headers[name] = [...(headers[name] ?? []), value];
  return headers;
}

/** node:http2 as a proxy joins what occurs twice (fault 14), and ours does not: joined, they have to be the same. */
function joined(raw: readonly string[]): Record<string, string> {
  const all: Record<string, string> = {};
  for (const [name, value] of pairsOf(raw)) if (name !== 'date') all[name] = name in all ? `${all[name]}, ${value}` : value;
  return all;
}

const field = fc.tuple(
  fc.constantFrom('x-a', 'x-b', 'x-data-bin', 'x-long'),
  fc.constantFrom('v', 'with space', 'a, b', 'x'.repeat(5_000), '\u00e9'),
);
const asked: fc.Arbitrary<Asked> = fc.record({
  method: fc.constantFrom('POST', 'PUT', 'PATCH'),
  path: fc.constantFrom('/', '/a/b?c=d', `/${'p'.repeat(3_000)}`),
  headers: fc.array(field, { maxLength: 6 }),
  pieces: fc.array(
    fc.integer({ min: 0, max: 200_000 }).map((bytes) => Buffer.alloc(bytes, 'abcdefg')),
    { maxLength: 4 },
  ),
  trailers: fc.array(field, { maxLength: 3 }),
});

test('requests and answers pass through our engine as through node:http2', async (t) => {
  const own = await startProxy(t, ownHttp2(new SteppedClock()));
  const node = await startProxy(t, nodeHttp2);
  await fc.assert(
    fc.asyncProperty(asked, async (request) => {
      const [ours, theirs] = [await own(request), await node(request)];
      for (const at of [0, 1] as const) {
        assert.deepEqual(joined(ours[at].head), joined(theirs[at].head));
        assert.equal(ours[at].body === theirs[at].body, true);
        assert.deepEqual(joined(ours[at].trailers), joined(theirs[at].trailers));
      }
      const sent = request.headers.filter(([name]) => name === 'x-a').map(([, value]) => value);
      assert.deepEqual(
        pairsOf(ours[0].head).flatMap(([name, value]) => (name === 'x-a' ? [value] : [])),
        sent,
      );
    }),
    { numRuns: 60 },
  );
});
