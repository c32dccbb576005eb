import assert from 'node:assert/strict';
import { closeSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { test } from 'node:test';
import { HandedSockets, socketCookie } from './handed-sockets.ts';
import { duplicate, ownTcpListener } from './sockets.ts';

const WHICH = { netnsCookie: '7', transport: 'tcp', port: 15_001 } as const;

/** What a process of this test hands over: itself. */
const handed = (fd: number): HandedSockets => new HandedSockets({ pid: process.pid, sockets: [{ ...WHICH, fd }] });

test('a socket is taken once, and is the same socket', () => {
  const { fd } = ownTcpListener(0);
  const former = handed(fd);
  const taken = former.take(WHICH);
  assert.ok(taken !== null && taken !== fd);
  assert.equal(socketCookie(taken), socketCookie(fd));
  assert.equal(former.take(WHICH), null);
  for (const one of [fd, taken]) closeSync(one);
  former.close();
});

test('F8: what waits in a listening socket is accepted by whoever holds it last', async (t) => {
  const { fd, port } = ownTcpListener(0);
  const kept = duplicate(fd);
  const first = createServer().listen({ fd });
  const former = handed(kept);
  await new Promise<void>((resolve) => first.close(() => resolve())); // the listening goes on in the copy
  const client = connect(port, '127.0.0.1');
  t.after(() => client.destroy());
  await new Promise<void>((resolve) => client.once('connect', resolve));
  closeSync(kept); // whoever takes it over may need longer than that
  const taken = former.take(WHICH);
  assert.ok(taken !== null);
  const second = createServer();
  t.after(() => second.close());
  const accepted = new Promise<void>((resolve) =>
    second.once('connection', (socket) => {
      socket.destroy();
      resolve();
    }),
  );
  second.listen({ fd: taken });
  await accepted;
});

test('there is nothing of others, of nobody, and of a process that has ended', () => {
  const { fd, port } = ownTcpListener(0);
  const [other, others] = [handed(fd), handed(fd)];
  assert.equal(other.take({ ...WHICH, netnsCookie: '8' }), null);
  assert.equal(others.take({ ...WHICH, transport: 'udp' }), null);
  for (const one of [other, others]) one.close();
  assert.equal(new HandedSockets(null).take(WHICH), null);
  const gone = new HandedSockets({ pid: 0x3f_ffff, sockets: [{ ...WHICH, fd }] });
  assert.equal(gone.take(WHICH), null);
  const closed = handed(fd);
  closeSync(fd);
  closed.close();
  assert.equal(closed.take(WHICH), null);
  const again = ownTcpListener(port); // nobody holds it any more
  closeSync(again.fd);
});
