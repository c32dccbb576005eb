import assert from 'node:assert/strict';
import http from 'node:http';
import { duplexPair } from 'node:stream';
import test from 'node:test';
import fc from 'fast-check';
import { asStream } from '#platform/io/node/as-stream.testing.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import { StringHeaders } from '#protocol/http/header-block.ts';
import type { RequestHandler } from '#protocol/http/message.ts';
import { Http1ServerConnection } from './server-connection.ts';

/** One request as a parser understood it. */
type Understood = { method: string; headers: string[]; body: string; ended: boolean };

/** What a parser made of a byte stream: the requests it accepted, and why it stopped if it did. */
type Reading = { requests: Understood[]; refused: string | null };

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

async function readOurs(pieces: readonly Buffer[]): Promise<Reading> {
  const [client, server] = duplexPair();
  const reading: Reading = { requests: [], refused: null };
  const handler: RequestHandler = {
    pathNormalization: 'BASE',
    onProblem: ({ details }) => (reading.refused = details),
    onMistake: (error) => (reading.refused = String(error)),
    onRequest(head, stream) {
      const headers = head.headers.toPairs();
      let body = '';
      const finish = (): void => {
        reading.requests.push({ method: head.method, headers, body, ended: true });
        stream.respond({ status: 204, headers: new StringHeaders([]), contentLength: null }, true);
      };
      if (head.hasBody) queueMicrotask(() => stream.startBody());
      else finish();
      return {
        onBody: (data) => {
          body += data.toString('latin1');
          return true;
        },
        onBodyEnd: finish,
        onGone: (why) => (reading.refused ??= why),
        onDownstreamWritable() {},
        onRequestTurnEnd() {},
      };
    },
  };
  new Http1ServerConnection(asStream(server), handler, new SteppedClock(), null);
  await feed(client, pieces);
  return reading;
}

async function readNodes(pieces: readonly Buffer[]): Promise<Reading> {
  const [client, server] = duplexPair();
  const reading: Reading = { requests: [], refused: null };
  const oracle = http.createServer((request, response) => {
    const understood: Understood = { method: request.method ?? '', headers: request.rawHeaders, body: '', ended: false };
    reading.requests.push(understood);
    request.setEncoding('latin1');
    request.on('data', (data: string) => (understood.body += data));
    request.on('end', () => {
      understood.ended = true;
      response.writeHead(204).end();
    });
  });
  oracle.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    reading.refused = error.code ?? error.message;
    socket.destroy();
  });
  oracle.emit('connection', server);
  await feed(client, pieces);
  return reading;
}

async function feed(client: import('node:stream').Duplex, pieces: readonly Buffer[]): Promise<void> {
  client.on('error', () => {});
  client.resume();
  for (const piece of pieces) {
    if (!client.writableEnded && !client.destroyed) client.write(piece);
    await settle();
  }
  await settle();
  client.destroy();
}

/** What we refuse on purpose although node:http takes it (docs/rules/waypoint.md). */
const STRICTER = new Set([
  'low_version',
  'http1.unsupported_version',
  'http1.invalid_transfer_encoding',
  'http1.method_not_upper_case',
  'missing_host_header',
  'path_normalization_failed',
  'http1.connection_header_rejected',
  'http1.upgrade_with_body',
  'http1.bare_lf',
  // node:http tolerates more than one space, and a lone CR before the line.
  'http1.malformed_request_line',
]);

const HOP = new Set([
  'host',
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'content-length',
  'upgrade',
  'te',
  'trailer',
]);

/** The headers both must agree on: those that are forwarded. */
function endToEnd(pairs: readonly string[]): string[] {
  const kept: string[] = [];
  for (let at = 0; at + 1 < pairs.length; at += 2) {
    const name = pairs[at]?.toLowerCase() ?? '';
    if (!HOP.has(name) && name !== 'x-hop') kept.push(`${name}: ${pairs[at + 1]}`);
  }
  return kept;
}

const line = fc.constantFrom(
  'GET / HTTP/1.1',
  'POST /a?b=c HTTP/1.1',
  'PUT /x HTTP/1.1',
  'HEAD / HTTP/1.1',
  'OPTIONS * HTTP/1.1',
  'GET http://b/c HTTP/1.1',
  'GET / HTTP/1.0',
  'GET / HTTP/2.0',
  'GET  / HTTP/1.1',
  'GET / HTTP/1.1 ',
  ' GET / HTTP/1.1',
  'GET /\tx HTTP/1.1',
  'get / HTTP/1.1',
  'DELETE /d#f HTTP/1.1',
);
const header = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.constantFrom('Host: a', 'X-A: 1', 'x-b:  two words \t', 'x-c:', 'Accept: */*', 'x-hop: 1', 'Cookie: a=b; c=d'),
  },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      'Content-Length: 5',
      'Content-Length: 0',
      'content-length: 3',
      'Transfer-Encoding: chunked',
      'transfer-encoding: Chunked',
    ),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      'Host: b',
      'Content-Length: +5',
      'Content-Length: 5, 5',
      'Content-Length : 5',
      'Content-Length: 5 ',
      'Content-Length: 0x5',
      'Content-Length:\t5',
      'Transfer-Encoding: chunked, identity',
      'Transfer-Encoding: identity',
      'Transfer-Encoding:\tchunked',
      'Transfer-Encoding: \x0bchunked',
      'Transfer_Encoding: chunked',
      'Connection: close',
      'Connection: keep-alive',
      'Connection: x-hop',
      ' folded: 1',
      '\tfolded',
      'nocolon',
      'x y: 1',
      'x: \x00',
      'x: \x7f',
      'x: \xff',
      ': none',
      'x-d: a\rb',
    ),
  },
);
const body = fc.constantFrom(
  '',
  'hello',
  'abc',
  '5\r\nhello\r\n0\r\n\r\n',
  '5;ext=1\r\nhello\r\n0\r\nT: 1\r\n\r\n',
  '0\r\n\r\n',
  '05\r\nhello\r\n0\r\n\r\n',
  '5\nhello\r\n0\r\n\r\n',
  '5\r\nhello0\r\n\r\n',
  '-5\r\nhello\r\n0\r\n\r\n',
  '5 \r\nhello\r\n0\r\n\r\n',
  '0\r\nX: y\n\r\n',
  'g\r\n',
  '5\r\nhello\r\n0\r\n\n',
);
const newline = fc.oneof({ weight: 30, arbitrary: fc.constant('\r\n') }, fc.constantFrom('\n', '\r', '\r\r\n', '\r\n\r\n'));
const message = fc
  .tuple(line, fc.array(fc.tuple(header, newline), { maxLength: 6 }), newline, body, fc.boolean())
  .map(([start, headers, first, payload, withHost]) => {
    const host = withHost ? 'Host: a\r\n' : '';
    return `${start}${first}${host}${headers.map(([text, end]) => text + end).join('')}\r\n${payload}`;
  });

/** Flips, drops or inserts single bytes. */
const mutations = fc.array(fc.tuple(fc.nat(400), fc.constantFrom('\r', '\n', ' ', '\t', ':', '\0', ';', '0', 'a', '')), {
  maxLength: 2,
});

function mutate(text: string, changes: readonly [number, string][]): string {
  let changed = text;
  for (const [place, byte] of changes) {
    const at = place % (changed.length + 1);
    changed = changed.slice(0, at) + byte + changed.slice(byte === '' ? at + 1 : at);
  }
  return changed;
}

function cut(text: string, places: readonly number[]): Buffer[] {
  const bytes = Buffer.from(text, 'latin1');
  const ends = [...places.map((place) => place % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  return ends.map((end, index) => bytes.subarray(ends[index - 1] ?? 0, end));
}

const stream = fc.tuple(fc.array(message, { minLength: 1, maxLength: 3 }), mutations, fc.array(fc.nat(500), { maxLength: 2 }));

test('http1: whatever we accept, node:http understands in the same way; what only it accepts we refuse on purpose', async () => {
  await fc.assert(
    fc.asyncProperty(stream, async ([messages, changes, places]) => {
      const wire = mutate(messages.join(''), changes);
      const pieces = cut(wire, places);
      const [ours, nodes] = await Promise.all([readOurs(pieces), readNodes(pieces)]);
      for (const [index, mine] of ours.requests.entries()) {
        // node:http knows a list of methods; any token is one to us.
        if (!http.METHODS.includes(mine.method)) return;
        const other = nodes.requests[index];
        // RFC 9112 allows a tab after a value; llhttp does not for this one header.
        if (nodes.refused === 'HPE_INVALID_CONTENT_LENGTH' && /content-length:[ \t]*\d+[ \t]*\t/i.test(wire)) return;
        // RFC 9112 allows blanks after the semicolon of a chunk extension; llhttp does not.
        if (nodes.refused === 'HPE_STRICT' && /^[0-9a-f]+[ \t]*;[ \t]/im.test(wire)) return;
        assert.ok(other, `only we accept request ${index} of ${JSON.stringify(wire)} (node: ${nodes.refused})`);
        assert.equal(mine.method, other.method, JSON.stringify(wire));
        // An error in a later message of the same read destroys the request before its body is delivered.
        if (other.ended || nodes.refused === null) assert.equal(mine.body, other.body, JSON.stringify(wire));
        assert.deepEqual(endToEnd(mine.headers), endToEnd(other.headers), JSON.stringify(wire));
      }
      if (nodes.requests.filter(({ ended }) => ended).length > ours.requests.length) {
        assert.ok(STRICTER.has(ours.refused ?? ''), `only node:http accepts (we: ${ours.refused}) ${JSON.stringify(wire)}`);
      }
    }),
    { numRuns: 3_000 },
  );
});
