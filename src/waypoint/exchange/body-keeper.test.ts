import assert from 'node:assert/strict';
import test from 'node:test';
import { StringHeaders } from '#protocol/http/header-block.ts';
import type { ClientStream } from '#protocol/http/message.ts';
import { BodyKeeper, KeptBodies } from '#waypoint/exchange/body-keeper.ts';

/** A try that writes down what it is given; `room`: bytes it takes before it asks to stop. */
function aTry(room = Number.POSITIVE_INFINITY) {
  const given: Buffer[] = [];
  const upstream = {
    room,
    ended: 0,
    trailers: null as string | null,
    text: (): string => Buffer.concat(given).toString(),
    write(data: Buffer): boolean {
      given.push(data);
      upstream.room -= data.length;
      return upstream.room > 0;
    },
    end(trailers: Parameters<ClientStream['end']>[0]): void {
      upstream.ended++;
      upstream.trailers = trailers?.get('x-sum') ?? null;
    },
    flush() {},
    resume() {},
    abort() {},
  };
  return upstream;
}

const K = 1024;
const text = (bytes: number, letter = 'x'): Buffer => Buffer.alloc(bytes, letter);

test('a kept body: the second try is given the same bytes, trailers included', () => {
  const keeper = new BodyKeeper(64 * K, new KeptBodies(64 * K));
  const [first, second] = [aTry(), aTry()];
  assert.equal(keeper.begin(first), true);
  assert.equal(keeper.take(Buffer.from('one '), first), true);
  assert.equal(keeper.take(Buffer.from('two'), first), true);
  keeper.end(new StringHeaders(['x-sum', '7']), first);
  assert.deepEqual([first.text(), first.ended, first.trailers], ['one two', 1, '7']);
  assert.equal(keeper.begin(second), true);
  assert.deepEqual([second.text(), second.ended, second.trailers], ['one two', 1, '7']);
  assert.equal(first.ended, 1);
});

test('a kept body: it is a copy, so what it was read into may be used again', () => {
  const keeper = new BodyKeeper(64 * K, new KeptBodies(64 * K));
  const read = Buffer.from('secret');
  const [first, second] = [aTry(), aTry()];
  keeper.begin(first);
  keeper.take(read, first);
  read.fill('?');
  keeper.begin(second);
  assert.equal(second.text(), 'secret');
});

test('a kept body: a try that is full stops the client, and goes on where it stopped', () => {
  const keeper = new BodyKeeper(64 * K, new KeptBodies(64 * K));
  const first = aTry(20 * K);
  keeper.begin(first);
  assert.equal(keeper.take(text(16 * K), first), true);
  assert.equal(keeper.take(text(16 * K), first), false);
  assert.equal(keeper.take(text(4 * K, 'y'), first), false);
  keeper.end(null, first);
  assert.deepEqual([first.text().length, first.ended], [32 * K, 0]);
  first.room = 100 * K;
  assert.equal(keeper.resume(first), true);
  assert.deepEqual([first.text().length, first.ended], [36 * K, 1]);
});

test('a kept body: the replay goes in pieces and waits whenever the try is full', () => {
  const keeper = new BodyKeeper(64 * K, new KeptBodies(64 * K));
  const [first, second] = [aTry(), aTry(1)];
  keeper.begin(first);
  keeper.take(text(40 * K), first);
  assert.equal(keeper.begin(second), false);
  assert.equal(second.text().length, 16 * K);
  second.room = 1;
  assert.equal(keeper.resume(second), false);
  assert.equal(second.text().length, 32 * K);
  second.room = 100 * K;
  assert.equal(keeper.resume(second), true);
  assert.equal(second.text().length, 40 * K);
});

test('a kept body: what comes between two tries waits for the next one', () => {
  const keeper = new BodyKeeper(64 * K, new KeptBodies(64 * K));
  const [first, second] = [aTry(), aTry()];
  keeper.begin(first);
  keeper.take(Buffer.from('one '), first);
  assert.equal(keeper.take(Buffer.from('two'), null), false);
  keeper.end(null, null);
  keeper.begin(second);
  assert.deepEqual([second.text(), second.ended], ['one two', 1]);
});

test('a kept body: past its bound it is let go, in order, and no further try is possible', () => {
  const pool = new KeptBodies(64 * K);
  const keeper = new BodyKeeper(10 * K, pool);
  const first = aTry(8 * K);
  keeper.begin(first);
  keeper.take(text(8 * K, 'a'), first);
  keeper.take(text(2 * K, 'b'), first);
  assert.equal(keeper.isWhole, true);
  assert.equal(pool.bytes, 10 * K);
  assert.equal(keeper.take(text(1, 'c'), first), false);
  assert.equal(keeper.isWhole, false);
  assert.equal(first.text(), `${'a'.repeat(8 * K)}${'b'.repeat(2 * K)}c`);
  assert.equal(pool.bytes, 0);
  first.room = 100;
  assert.equal(keeper.take(text(1, 'd'), first), true);
  keeper.end(null, first);
  assert.deepEqual([first.text().slice(-2), first.ended], ['cd', 1]);
});

test('kept bodies: all of them together have a bound, and give back what they took', () => {
  const pool = new KeptBodies(12 * K);
  const keepers = [1, 2, 3].map(() => new BodyKeeper(64 * K, pool));
  const tries = keepers.map(() => aTry());
  keepers.forEach((keeper, at) => {
    const upstream = tries[at] ?? aTry();
    keeper.begin(upstream);
    keeper.take(text(5 * K), upstream);
  });
  assert.deepEqual(
    keepers.map((keeper) => keeper.isWhole),
    [true, true, false],
  );
  assert.deepEqual(
    tries.map((upstream) => upstream.text().length),
    [5 * K, 5 * K, 5 * K],
  );
  for (const keeper of keepers) keeper.release();
  assert.equal(pool.bytes, 0);
});

test('a kept body: once it is settled that no try follows, it is let go as soon as the try under way has it', () => {
  const pool = new KeptBodies(64 * K);
  const keeper = new BodyKeeper(64 * K, pool);
  const first = aTry(1);
  keeper.begin(first);
  keeper.take(text(1 * K), first);
  keeper.take(text(1 * K, 'y'), first);
  keeper.settle();
  assert.equal(pool.bytes, 2 * K);
  first.room = 100 * K;
  assert.equal(keeper.resume(first), true);
  assert.equal(pool.bytes, 0);
  keeper.take(Buffer.from('more'), first);
  assert.match(first.text(), /^x{1024}y{1024}more$/);
  assert.equal(pool.bytes, 0);
});

test('a kept body: many small pieces cost no more than their bytes', () => {
  const pool = new KeptBodies(1_000 * K);
  const keeper = new BodyKeeper(64 * K, pool);
  const first = aTry();
  keeper.begin(first);
  for (let piece = 0; piece < 5_000; piece++) keeper.take(text(1), first);
  assert.equal(pool.bytes, 8 * K);
  assert.equal(first.text().length, 5_000);
});
