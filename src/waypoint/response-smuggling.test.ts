import assert from 'node:assert/strict';
import type net from 'node:net';
import test from 'node:test';
import { rawClient, startRawApp } from './clients.testing.ts';
import { statusesOf } from './smuggling.testing.ts';
import { startRig, until } from './waypoint-rig.testing.ts';

// What an app writes that two parsers could read in two ways, or more than it was asked for: no client may get what was meant for
// another, and what is behind a response is never the next one.

/** What the app writes to the first request, and what the client gets to it: `cut` when its connection ends in the midst of that. */
type Case = readonly [name: string, written: string, answer: string];

const SECRET = 'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret';
const ok = (...lines: string[]): string => `HTTP/1.1 200 OK\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n`;

const CASES: readonly Case[] = [
  ['a response', `${ok('Content-Length: 2')}ok`, '200 ok'],
  ['a second response that nobody asked for', `${ok('Content-Length: 2')}ok${SECRET}`, '200 ok'],
  ['more bytes than announced', `${ok('Content-Length: 2')}ok!`, '200 ok'],
  ['a body of a response to HEAD', `${ok('Content-Length: 6')}${SECRET}`, '200 '],
  ['204 with a body', `HTTP/1.1 204 No Content\r\nContent-Length: 6\r\n\r\n${SECRET}`, '204 '],
  ['304 with a body', `HTTP/1.1 304 Not Modified\r\n\r\n${SECRET}`, '304 '],
  ['length and coding', `${ok('Content-Length: 2', 'Transfer-Encoding: chunked')}0\r\n\r\n`, '502'],
  ['two lengths', `${ok('Content-Length: 2', 'Content-Length: 6')}ok`, '502'],
  ['a length with a sign', `${ok('Content-Length: +2')}ok`, '502'],
  ['a coding that nobody knows', `${ok('Transfer-Encoding: xchunked')}0\r\n\r\n`, '502'],
  ['a space before a colon', `${ok('Content-Length : 2')}ok`, '502'],
  ['a folded line', `${ok('X: y', ' Content-Length: 2')}ok`, '502'],
  ['bare line feeds', 'HTTP/1.1 200 OK\nContent-Length: 2\n\nok', '502'],
  ['a switch that nobody asked for', `HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n${SECRET}`, '502'],
  ['an interim response, then one', `HTTP/1.1 103 Early Hints\r\n\r\n${ok('Content-Length: 2')}ok`, '200 ok'],
  ['a status of four digits', 'HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nok', '502'],
  ['another version', 'HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok', '502'],
  ['a chunk that is none', `${ok('Transfer-Encoding: chunked')}2 \r\nok\r\n0\r\n\r\n`, 'cut'],
  ['chunks behind bare line feeds', `${ok('Transfer-Encoding: chunked')}2\nok\n0\n\n`, 'cut'],
];

for (const [name, written, answer] of CASES) {
  test(`response smuggling: ${name}`, async (t) => {
    let requests = 0;
    const port = await startRawApp(t, (socket: net.Socket) =>
      socket.on('data', () =>
        socket.write(++requests === 1 ? written : 'HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nown', 'latin1'),
      ),
    );
    const rig = await startRig();
    t.after(() => rig.close());
    rig.endpoints([port]);
    const method = name.includes('HEAD') ? 'HEAD' : 'GET';
    const client = await rawClient(t, rig.port);
    client.socket.write(`${method} /first HTTP/1.1\r\nHost: a\r\n\r\n`);
    // A length in an answer to HEAD is not that of bytes that come.
    const read = () => statusesOf(client.received().replace(method === 'HEAD' ? /content-length: 6/ : /^$/, 'x: y'));
    const isFinal = () => read().statuses.some((status) => status >= 200);
    const isCut = () => client.ended() || client.socket.destroyed;
    await until(() => isCut() || isFinal());
    const { statuses, bodies } = read();
    if (answer === 'cut') assert.deepEqual([isCut(), isFinal()], [true, false]);
    else assert.ok(`${statuses.at(-1)} ${bodies.at(-1)}`.startsWith(answer), `${statuses.at(-1)} ${bodies.at(-1)}`);
    // Someone else's request, as the waypoint would send it on the same connection to the app if that were in step.
    const next = await rawClient(t, rig.port);
    next.socket.write('GET /next HTTP/1.1\r\nHost: a\r\n\r\n');
    await until(() => next.ended() || next.received().endsWith('own'));
    assert.match(next.received(), /^HTTP\/1\.1 200 OK\r\n[\s\S]*\r\n\r\nown$/);
    assert.ok(![client, next].some(({ received }) => received().includes('secret')), 'what nobody asked for went to somebody');
  });
}
