import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IO } from '#model/settings/io.ts';
import { ERRNO } from '#platform/ffi/libc.ts';
import type { Memory } from '#platform/ffi/memory.ts';
import type { Channel } from './channel.ts';
import { ChunkPool, Outgoing } from './outgoing.ts';

/** A channel that says what it was asked for, and takes so many bytes until it takes none. */
function heardChannel(room: number) {
  const calls: string[] = [];
  const taken: Buffer[] = [];
  let left = room;
  const take = (name: string, bytes: Buffer): number => {
    calls.push(name);
    const count = Math.min(left, bytes.length);
    left -= count;
    taken.push(Buffer.from(bytes.subarray(0, count)));
    return count === 0 && bytes.length > 0 ? -ERRNO.again : count;
  };
  const channel: Channel = {
    receive: () => -ERRNO.again,
    send: (memory, offset, bytes) => take('send', memory.buffer.subarray(offset, offset + bytes)),
    sendFrom: (buffer, start, end) => take('sendFrom', buffer.subarray(start, end)),
    unsent: 0,
    flush: () => 0,
    hasMore: () => false,
    readsOn: () => false,
    gather: (on) => {
      calls.push(on ? 'gather' : 'gathered');
      return 0;
    },
    finish: () => 0,
    endsByClosing: true,
    broken: () => assert.fail('nothing breaks'),
    hasLastWord: false,
    free() {},
  };
  return { channel, calls, taken: () => Buffer.concat(taken), grow: (bytes: number) => (left += bytes) };
}

const LARGE = Buffer.alloc(3 * IO.chunkBytes, 'large');
const SMALL = Buffer.from('small');

test('a large write goes out without a copy, together with the little that waits before it', () => {
  const { channel, calls, taken } = heardChannel(Number.POSITIVE_INFINITY);
  const outgoing = new Outgoing(new ChunkPool());
  assert.equal(outgoing.put(channel, SMALL, 0, SMALL.length), 0);
  assert.deepEqual([calls, outgoing.bytes], [[], SMALL.length]);
  assert.equal(outgoing.put(channel, LARGE, 0, LARGE.length), 0);
  assert.deepEqual([calls, outgoing.bytes], [['gather', 'send', 'sendFrom', 'gathered'], 0]);
  assert.ok(taken().equals(Buffer.concat([SMALL, LARGE])));
});

test('what the kernel has no room for waits, in order, wherever it stopped', () => {
  for (const room of [0, 3, SMALL.length, SMALL.length + 1, LARGE.length]) {
    const { channel, taken, grow } = heardChannel(room);
    const outgoing = new Outgoing(new ChunkPool());
    outgoing.put(channel, SMALL, 0, SMALL.length);
    outgoing.put(channel, LARGE, 0, LARGE.length);
    outgoing.put(channel, SMALL, 0, SMALL.length);
    const all = Buffer.concat([SMALL, LARGE, SMALL]);
    assert.equal(outgoing.bytes, all.length - room, `room for ${room}`);
    assert.equal(outgoing.send(channel), -ERRNO.again);
    grow(all.length);
    assert.deepEqual([outgoing.send(channel), outgoing.bytes], [0, 0]);
    assert.ok(taken().equals(all), `room for ${room}`);
  }
});

const CONNECTIONS = 100;

/** A channel whose kernel takes everything; `memories`: what it was sent from. */
function countingChannel(memories: Set<Memory>): Channel {
  const { channel } = heardChannel(Number.POSITIVE_INFINITY);
  return {
    ...channel,
    send(memory, _offset, bytes) {
      memories.add(memory);
      return bytes;
    },
  };
}

test('F19: a hundred connections that are written to in each turn use the same chunks again, and hold no more than 4 MiB', () => {
  const [pool, memories] = [new ChunkPool(), new Set<Memory>()];
  const channel = countingChannel(memories);
  const streams = Array.from({ length: CONNECTIONS }, () => new Outgoing(pool));
  for (let turn = 0; turn < 50; turn++) {
    for (const one of streams) assert.equal(one.put(channel, SMALL, 0, SMALL.length), 0);
    for (const one of streams) assert.deepEqual([one.send(channel), one.bytes], [0, 0]);
  }
  const bytes = [...memories].reduce((sum, { length }) => sum + length, 0);
  assert.ok(memories.size <= CONNECTIONS && bytes <= 4 * 1024 * 1024, `${memories.size} chunks, ${bytes} bytes`);
});

test('F19: a connection that has nothing to send holds no chunk', () => {
  const [pool, memories] = [new ChunkPool(), new Set<Memory>()];
  for (let at = 0; at < CONNECTIONS; at++) {
    const one = new Outgoing(pool);
    one.put(countingChannel(memories), SMALL, 0, SMALL.length);
    one.send(countingChannel(memories));
  }
  assert.equal(memories.size, 1);
});
