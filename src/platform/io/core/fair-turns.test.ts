import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ByteStream, StreamReader } from '#model/effects/byte-stream.ts';
import { IO } from '#model/settings/io.ts';
import { keptMishaps, tcpPairs } from '#platform/io/contract/pairs.testing.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import { CoreIo } from './core-io.ts';

const CHUNK = Buffer.alloc(IO.readBytes);
const BULK = 64;
/** After so much each has been read from more than once. */
const UNDER_WAY_BYTES = 2 * BULK * IO.readBytes;

const reader = (of: Partial<StreamReader>): StreamReader => ({
  bytes: (_buffer, start, end) => end - start,
  end() {},
  writable() {},
  over() {},
  ...of,
});

/** Writes as much as is taken, again and again. */
function writeOn(stream: ByteStream): void {
  const fill = (): void => {
    while (stream.write(CHUNK, 0, CHUNK.length));
  };
  stream.read(reader({ writable: fill }));
  fill();
}

/**
 * A node's agent with so many bulk transfers, and a message of another's meanwhile: how many bytes of theirs come before it, and the
 * most that was read of one at once.
 */
async function besideBulk(transfers: number): Promise<{ bytesBefore: number; bytesAtOnce: number }> {
  const mishaps = keptMishaps();
  const clock = new SteppedClock();
  const maker = tcpPairs({ io: new CoreIo(clock, mishaps), clock, mishaps });
  const all: ByteStream[] = [];
  const pair = async () => {
    const ends = await maker.pair();
    all.push(...ends);
    return ends;
  };
  try {
    const [near, far] = await pair();
    const { promise: arrived, resolve: arrive } = Promise.withResolvers<void>();
    const { promise: underWay, resolve: begin } = Promise.withResolvers<void>();
    let [bulkBytes, bytesAtOnce] = [0, 0];
    const bulk = reader({
      bytes(_buffer, start, end) {
        bulkBytes += end - start;
        if (bulkBytes >= UNDER_WAY_BYTES) {
          begin();
          bytesAtOnce = Math.max(bytesAtOnce, end - start);
        }
        return end - start;
      },
    });
    near.read(reader({}));
    far.read(
      reader({
        bytes(_buffer, start, end) {
          arrive();
          return end - start;
        },
      }),
    );
    for (let at = 0; at < transfers; at++) {
      const [from, to] = await pair();
      to.read(bulk);
      writeOn(from);
    }
    await underWay;
    const before = bulkBytes;
    near.write(CHUNK, 0, 64);
    await arrived;
    return { bytesBefore: bulkBytes - before, bytesAtOnce };
  } finally {
    for (const stream of all) stream.reset();
    maker.close();
    assert.deepEqual(mishaps.errors, []);
  }
}

test('a message waits for no more than the rest of one turn and the beginning of the next, however many have much to move', async () => {
  const { bytesBefore, bytesAtOnce } = await besideBulk(BULK);
  assert.ok(bytesBefore <= 4 * (IO.turnBytesMax + IO.readBytes), `${bytesBefore} bytes of bulk came before it`);
  assert.ok(bytesAtOnce <= IO.sharedReadBytes, `${bytesAtOnce} bytes were read of one while others waited`);
});

test('one that has much to move alone is read from in large pieces', async () => {
  const { bytesAtOnce } = await besideBulk(1);
  assert.ok(bytesAtOnce > IO.sharedReadBytes, `${bytesAtOnce} bytes at most`);
});
