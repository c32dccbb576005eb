import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import type { End } from './end.testing.ts';
import { turns, until } from './end.testing.ts';
import { type Ends, endsOf, type PairMaker } from './pairs.testing.ts';
import { segmentsSent } from './tcp-info.testing.ts';

/** One sentence of byte-stream.ts. `hold` rejects when the streams of a maker break it. */
export type Rule = { readonly name: string; hold(maker: PairMaker): Promise<void> };

const KIB = 1_024;
/** More than kernels keep for a connection over loopback. */
const FLOOD_BYTES = 64 * KIB * KIB;

/** Both have kept the contract all the while; what is left is broken off. */
export function verified({ a, b }: Ends): void {
  assert.deepEqual([...a.faults, ...b.faults], []);
}

async function withEnds(maker: PairMaker, unread: 'unread' | 'read', act: (ends: Ends) => Promise<void>): Promise<void> {
  const ends = await endsOf(maker, unread);
  try {
    await act(ends);
    verified(ends);
  } finally {
    ends.a.reset();
    ends.b.reset();
  }
}

function rule(name: string, act: (ends: Ends, maker: PairMaker) => Promise<void>, unread: 'unread' | 'read' = 'read'): Rule {
  return { name, hold: (maker) => withEnds(maker, unread, (ends) => act(ends, maker)) };
}

const received = (end: End, bytes: number, maker: PairMaker) =>
  until(() => end.received >= bytes, `${bytes} bytes, of which ${end.received} came`, maker.patience).then(() =>
    assert.equal(end.received, bytes),
  );
const told = (end: End, kind: string, maker: PairMaker) =>
  until(() => end.over !== null, `over (${kind})`, maker.patience).then(() => assert.equal(end.over?.kind, kind));
const ended = (end: End, maker: PairMaker) => until(() => end.endsTold === 1, 'the end', maker.patience);

/** Writes until the stream asks for a pause. */
function fill(end: End, by: 'write' | 'pass' = 'write'): void {
  while (end.sent < FLOOD_BYTES) if (!end.write(64 * KIB, by)) return;
  assert.fail('write never asked for a pause, though nobody reads');
}

async function bothFinish({ a, b }: Ends, maker: PairMaker): Promise<void> {
  a.end();
  b.end();
  await told(a, 'finished', maker);
  await told(b, 'finished', maker);
  await until(() => a.oversHeard === 1 && b.oversHeard === 1, 'onOver', maker.patience);
  assert.equal(a.stream.isOver && b.stream.isOver, true);
  assert.equal(a.stream.pendingBytes + b.stream.pendingBytes, 0);
}

const ENDS: readonly Rule[] = [
  rule(
    'nothing is read before `read`, and then all of it, in order',
    async ({ a, b }, maker) => {
      a.read();
      a.write(10);
      await turns();
      a.write(200 * KIB, 'pass');
      a.write(1);
      await turns();
      b.read();
      await received(b, 200 * KIB + 11, maker);
    },
    'unread',
  ),
  rule('each direction ends by itself, whichever is first', async ({ a, b }, maker) => {
    a.write(5);
    a.end();
    await ended(b, maker);
    assert.equal(b.received, 5);
    b.write(300 * KIB);
    await received(a, 300 * KIB, maker);
    await turns();
    b.write(1);
    await received(a, 300 * KIB + 1, maker);
    assert.equal(a.over ?? b.over, null);
    await bothFinish({ a, b }, maker);
  }),
  rule('the accepted side may end first', async ({ a, b }, maker) => {
    b.write(7);
    b.end();
    await ended(a, maker);
    a.write(90 * KIB);
    await received(b, 90 * KIB, maker);
    await bothFinish({ a, b }, maker);
  }),
  rule('an end comes after all that was written before it, however much', async ({ a, b }, maker) => {
    b.pause();
    for (let piece = 0; piece < 64; piece++) a.write(64 * KIB);
    a.end();
    await turns();
    b.resume();
    await ended(b, maker);
    assert.equal(b.received, 4_096 * KIB);
    await bothFinish({ a, b }, maker);
  }),
  rule('after `end` what is written goes nowhere', async ({ a, b }, maker) => {
    a.write(3);
    a.end();
    a.write(100);
    a.end();
    a.write(64 * KIB, 'pass');
    await ended(b, maker);
    await turns();
    assert.equal(b.received, 3);
    await bothFinish({ a, b }, maker);
    a.write(10);
    b.write(10);
    b.end();
    b.pause();
    b.resume();
    b.reset();
    assert.equal(b.stream.pendingBytes, 0);
    await turns();
  }),
  rule('both ends may come at once', async ({ a, b }, maker) => {
    a.write(1);
    b.write(2);
    await bothFinish({ a, b }, maker);
    assert.deepEqual([a.received, b.received], [2, 1]);
  }),
];

const READERS: readonly Rule[] = [
  rule('what was not taken comes first after `resume`, and nothing before that', async ({ a, b }, maker) => {
    b.take = () => 3;
    a.write(10);
    await until(() => b.received === 3, 'three bytes', maker.patience);
    a.write(10);
    await turns();
    assert.equal(b.received, 3);
    for (let more = 6; more <= 18; more += 3) {
      b.resume();
      await until(() => b.received >= more, `${more} bytes`, maker.patience);
    }
    b.take = (bytes) => bytes;
    b.resume();
    await received(b, 20, maker);
  }),
  rule('a reader may take nothing', async ({ a, b }, maker) => {
    let offers = 0;
    b.take = () => {
      offers++;
      return 0;
    };
    a.write(10 * KIB);
    await until(() => offers === 1, 'the offer', maker.patience);
    await turns();
    assert.equal(offers, 1);
    b.take = (bytes) => bytes;
    b.resume();
    await received(b, 10 * KIB, maker);
  }),
  rule('a hand-over: what the former reader did not take comes first, and it hears nothing more', async ({ a, b }, maker) => {
    b.take = () => 4;
    a.write(9);
    await until(() => b.received === 4, 'four bytes', maker.patience);
    b.take = (bytes) => bytes;
    b.read();
    await received(b, 9, maker);
    a.write(20);
    await received(b, 29, maker);
  }),
  rule('an end that was told is told again to the next reader, after the bytes', async ({ a, b }, maker) => {
    a.write(6);
    a.end();
    await ended(b, maker);
    b.read();
    assert.equal(b.endsTold, 0, 'from inside of the call');
    await ended(b, maker);
    b.read();
    await ended(b, maker);
    await bothFinish({ a, b }, maker);
  }),
  rule('a hand-over from inside of `bytes`', async ({ a, b }, maker) => {
    b.take = () => 2;
    b.acts = {
      bytes: () => {
        b.acts = {};
        b.take = (bytes) => bytes;
        b.read();
      },
    };
    a.write(50);
    await received(b, 50, maker);
    a.end();
    await ended(b, maker);
  }),
  rule('a hand-over while paused begins to deliver', async ({ a, b }, maker) => {
    b.pause();
    a.write(5);
    await turns();
    b.read();
    await received(b, 5, maker);
  }),
  rule('paused, no bytes come; from inside of `bytes`, too', async ({ a, b }, maker) => {
    b.pause();
    a.write(100);
    await turns();
    assert.equal(b.received, 0);
    b.acts = { bytes: () => b.pause() };
    b.resume();
    await received(b, 100, maker);
    a.write(100);
    await turns();
    assert.equal(b.received, 100);
    b.pause();
    b.resume();
    await received(b, 200, maker);
    a.write(300 * KIB);
    await turns();
    while (b.received < 200 + 300 * KIB) {
      const before = b.received;
      b.resume();
      await until(() => b.received > before, `more than ${before} bytes`, maker.patience);
    }
    assert.equal(b.received, 200 + 300 * KIB);
  }),
  rule('paused, an end is told all the same, but after all bytes', async ({ a, b }, maker) => {
    b.pause();
    a.end();
    await ended(b, maker);
    a.pause();
    b.write(5);
    b.end();
    await turns();
    assert.equal(a.endsTold, 0);
    a.resume();
    await ended(a, maker);
    assert.equal(a.received, 5);
    await told(a, 'finished', maker);
    await told(b, 'finished', maker);
  }),
  rule('bytes that one reader leaves are not touched by what others receive', async ({ a, b }, maker) => {
    b.take = () => 10;
    a.write(4 * KIB);
    await until(() => b.received === 10, 'ten bytes', maker.patience);
    await withEnds(maker, 'read', async (others) => {
      others.a.write(100 * KIB);
      await received(others.b, 100 * KIB, maker);
      others.b.write(100 * KIB);
      await received(others.a, 100 * KIB, maker);
    });
    b.take = (bytes) => bytes;
    b.resume();
    await received(b, 4 * KIB, maker);
  }),
];

const WRITING: readonly Rule[] = [
  rule('`write` says when to pause, keeps what it was given, and `writable` says when to go on', async ({ a, b }, maker) => {
    for (const by of ['write', 'pass'] as const) {
      b.pause();
      fill(a, by);
      assert.ok(a.stream.pendingBytes > 0);
      a.write(5);
      await turns();
      b.resume();
      await until(() => !a.isFull, 'room', maker.patience);
      await received(b, a.sent, maker);
      await until(() => a.stream.pendingBytes === 0, 'everything handed on', maker.patience);
    }
  }),
  rule('the other direction goes on while one is full', async ({ a, b }, maker) => {
    b.pause();
    fill(a);
    b.write(100 * KIB);
    await received(a, 100 * KIB, maker);
    b.resume();
    await received(b, a.sent, maker);
  }),
  rule('an end behind what waits: both streams finish, and every byte arrives', async ({ a, b }, maker) => {
    b.pause();
    fill(a);
    a.end();
    await turns();
    b.resume();
    await ended(b, maker);
    assert.equal(b.received, a.sent);
    await bothFinish({ a, b }, maker);
  }),
  rule('what one turn writes leaves in one piece', async ({ a, b }, maker) => {
    a.write(10);
    await received(b, 10, maker);
    const before = segmentsSent(a.stream.local.port);
    for (let piece = 0; piece < 40; piece++) a.write(100, piece % 2 === 0 ? 'write' : 'pass');
    assert.ok(a.stream.pendingBytes <= 4_100);
    await received(b, 4_010, maker);
    assert.equal(segmentsSent(a.stream.local.port) - before, 1);
  }),
  rule('answers from inside of `bytes` arrive', async ({ a, b }, maker) => {
    b.acts = { bytes: () => void b.write(b.received - b.sent) };
    a.acts = { bytes: () => void (a.received < 20_000 && a.write(3_000)) };
    a.write(3_000);
    await until(() => a.received >= 20_000, 'answers', maker.patience);
  }),
  rule('addresses: the peer and our own end, IPv4 as such', async ({ a, b }) => {
    assert.match(a.stream.remote.ip, /^127\.1\.\d+\.\d+$/);
    assert.deepEqual(b.stream.local, a.stream.remote);
    assert.deepEqual(b.stream.remote, a.stream.local);
  }),
];

const RESETS: readonly Rule[] = [
  rule('a reset is told as such, to a reader that pauses, too; our own reader hears nothing', async ({ a, b }, maker) => {
    b.pause();
    await turns();
    a.reset();
    await told(b, 'reset', maker);
    await until(() => a.oversHeard === 1 && b.oversHeard === 1, 'onOver', maker.patience);
    assert.equal(a.stream.isOver, true);
    a.write(5);
    a.end();
    a.reset();
    assert.equal(a.stream.pendingBytes, 0);
    let atOnce = 0;
    a.stream.onOver(() => atOnce++);
    assert.equal(atOnce, 1);
    await turns();
    assert.equal(a.oversHeard, 1);
  }),
  rule('a reset is told to one who has not taken everything', async ({ a, b }, maker) => {
    b.take = () => 1;
    a.write(100);
    await until(() => b.received === 1, 'a byte', maker.patience);
    a.reset();
    await told(b, 'reset', maker);
  }),
  rule('a reset loses what waits, and is no end', async ({ a, b }, maker) => {
    b.pause();
    fill(a);
    a.end();
    a.reset();
    await turns();
    b.resume();
    await told(b, 'reset', maker);
    assert.equal(b.endsTold, 0);
  }),
  rule('a reset in the turn of the end is a reset', async ({ a, b }, maker) => {
    a.write(10);
    a.end();
    a.reset();
    await told(b, 'reset', maker);
  }),
  rule('after an end the other direction can still be reset', async ({ a, b }, maker) => {
    b.end();
    await ended(a, maker);
    a.write(10);
    await received(b, 10, maker);
    a.reset();
    await told(b, 'reset', maker);
  }),
  rule(
    'what is reset before it is read is told to its reader',
    async ({ a, b }, maker) => {
      a.read();
      a.reset();
      await turns();
      b.read();
      await told(b, 'reset', maker);
    },
    'unread',
  ),
  rule(
    'a reset of one who was never read is a reset',
    async ({ a, b }, maker) => {
      a.read();
      a.write(1_000);
      await turns();
      b.reset();
      await told(a, 'reset', maker);
    },
    'unread',
  ),
  ...(['bytes', 'end', 'writable', 'over'] as const).map((method) =>
    rule(`an exception in \`${method}\` costs that stream only`, async ({ a, b }, maker) => {
      const mistake = new Error(`a mistake in ${method}`);
      await withEnds(maker, 'read', async (others) => {
        a.acts = {
          [method]: () => {
            throw mistake;
          },
        };
        if (method === 'writable') {
          b.pause();
          fill(a);
        } else b.write(5);
        if (method === 'end') b.end();
        if (method === 'over') {
          await received(a, 5, maker);
          b.reset();
        } else b.resume();
        await until(() => maker.mishaps.errors.includes(mistake), 'the report', maker.patience);
        if (method !== 'over') {
          await told(a, 'failed', maker);
          await told(b, 'reset', maker);
        }
        others.a.write(100);
        await received(others.b, 100, maker);
        await bothFinish(others, maker);
      });
    }),
  ),
  ...(['bytes', 'end'] as const).map((method) =>
    rule(`an exception in \`${method}\` that comes after both have ended is no orderly end`, async ({ a, b }, maker) => {
      const mistake = new Error(`a late mistake in ${method}`);
      a.acts = {
        [method]: () => {
          throw mistake;
        },
      };
      a.pause();
      b.write(5);
      b.end();
      a.end();
      await ended(b, maker);
      await turns(); // whatever has seen both ends may have closed by now
      a.resume();
      await told(a, 'failed', maker);
      assert.ok(maker.mishaps.errors.includes(mistake));
    }),
  ),
];

const COST: readonly Rule[] = [
  {
    name: 'every descriptor is given back',
    async hold(maker) {
      const open = () => readdirSync('/proc/self/fd').length;
      await turns();
      const before = open();
      for (let round = 0; round < 12; round++) {
        const { a, b } = await endsOf(maker, round % 2 === 0 ? 'read' : 'unread');
        if (round % 3 !== 0) a.write(200 * KIB);
        if (round % 4 === 1) await turns(2);
        if (round % 4 >= 2) a.end();
        if (round % 4 === 3) b.end();
        if (round % 2 === 1) a.reset();
        b.reset();
        a.reset();
      }
      for (let turn = 0; turn < 2_000 && open() > before; turn++) await turns(1);
      assert.ok(open() <= before, `${open() - before} descriptors are still open`);
    },
  },
];

/** The sentences of byte-stream.ts, one by one. */
export const STREAM_RULES: readonly Rule[] = [...ENDS, ...READERS, ...WRITING, ...RESETS, ...COST];
