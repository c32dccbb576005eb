import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ByteStream, StreamReader } from '#model/effects/byte-stream.ts';
import { ERRNO } from '#platform/ffi/libc.ts';
import { EPOLL, SYSCALLS, type Syscalls } from '#platform/ffi/syscalls.ts';
import { CoreIo } from '#platform/io/core/core-io.ts';
import { READY } from '#platform/io/core/loop.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import { keptMishaps, type PairMaker, tcpPairs } from './pairs.testing.ts';
import { STREAM_RULES } from './stream-rules.testing.ts';

// Each bug that such code is known for is planted below or above the I/O core, and the contract has to notice.

/** Over loopback what has to come comes within a few. */
const PATIENCE = { turns: 1_500 };

type Bug = {
  readonly name: string;
  calls?(): Partial<Syscalls>;
  /** What is done to each stream. */
  spoil?(stream: ByteStream): void;
};

const resetAsNone = (errno: number): number => (errno === ERRNO.reset || errno === ERRNO.pipe ? 0 : errno);

/** errno of whatever failed last, which here is a close of no descriptor. */
const late = (result: number): number => (result < 0 ? SYSCALLS.close(-1) : result);

const BUGS: readonly Bug[] = [
  {
    name: 'a lost wake-up',
    calls: () => ({
      epollCtl: (epoll, operation, fd, events, slot, generation) =>
        SYSCALLS.epollCtl(epoll, operation, fd, operation === EPOLL.change ? events & ~READY.write : events, slot, generation),
    }),
  },
  {
    name: 'a dropped remainder after EAGAIN',
    calls: () => ({
      send: (fd, memory, offset, bytes) => (SYSCALLS.send(fd, memory, offset, bytes) === -ERRNO.pipe ? -ERRNO.pipe : bytes),
    }),
  },
  {
    name: 'a half-close taken for a close',
    calls: () => ({
      recv(fd, memory, offset, bytes) {
        const result = SYSCALLS.recv(fd, memory, offset, bytes);
        if (result === 0) SYSCALLS.shutdownWrite(fd);
        return result;
      },
    }),
  },
  {
    name: 'a reset taken for an end',
    calls: () => ({
      recv: (fd, memory, offset, bytes) => -resetAsNone(-SYSCALLS.recv(fd, memory, offset, bytes)),
      takeError: (fd) => resetAsNone(SYSCALLS.takeError(fd)),
    }),
  },
  { name: 'a use after close', calls: closedTooEarly },
  {
    name: 'a view kept too long',
    calls: () => ({
      sendFrom(fd, buffer, start, end) {
        setImmediate(() => SYSCALLS.sendFrom(fd, buffer, start, end));
        return end - start;
      },
    }),
  },
  { name: 'an exception in a callback that vanishes', spoil: swallowExceptions },
  {
    name: 'an errno that is read late',
    calls: () => ({
      recv: (fd, memory, offset, bytes) => late(SYSCALLS.recv(fd, memory, offset, bytes)),
      send: (fd, memory, offset, bytes) => late(SYSCALLS.send(fd, memory, offset, bytes)),
      sendFrom: (fd, buffer, start, end) => late(SYSCALLS.sendFrom(fd, buffer, start, end)),
    }),
  },
];

/** Our own end closes the descriptor; what comes later meets it closed. */
function closedTooEarly(): Partial<Syscalls> {
  const gone = new Set<number>();
  return {
    shutdownWrite(fd) {
      gone.add(fd);
      SYSCALLS.shutdownWrite(fd);
      return SYSCALLS.close(fd);
    },
    accept(fd, address) {
      const accepted = SYSCALLS.accept(fd, address);
      gone.delete(accepted);
      return accepted;
    },
    connect(fd, address) {
      gone.delete(fd);
      return SYSCALLS.connect(fd, address);
    },
    close: (fd) => (gone.delete(fd) ? 0 : SYSCALLS.close(fd)),
  };
}

function swallowExceptions(stream: ByteStream): void {
  const read = stream.read.bind(stream);
  const quiet = <Result>(act: () => Result, otherwise: Result): Result => {
    try {
      return act();
    } catch {
      return otherwise;
    }
  };
  stream.read = (reader: StreamReader) =>
    read({
      bytes: (buffer, start, end) => quiet(() => reader.bytes(buffer, start, end), end - start),
      end: () => quiet(() => reader.end(), undefined),
      writable: () => quiet(() => reader.writable(), undefined),
      over: (how) => quiet(() => reader.over(how), undefined),
    });
}

/** The rules that a core with this bug breaks; only the first of them, where that is enough. */
async function broken({ calls, spoil }: Bug, enough: number): Promise<string[]> {
  const mishaps = keptMishaps();
  const clock = new SteppedClock();
  const io = new CoreIo(clock, mishaps, { ...SYSCALLS, ...calls?.() });
  const pairs = tcpPairs({ io, clock, mishaps }, PATIENCE);
  const maker: PairMaker = {
    ...pairs,
    async pair() {
      const both = await pairs.pair();
      for (const stream of both) spoil?.(stream);
      return both;
    },
  };
  const found: string[] = [];
  for (const { name, hold } of STREAM_RULES) {
    if (found.length >= enough) break;
    await hold(maker).catch((error: unknown) => found.push(`${name}: ${error instanceof Error ? error.message : String(error)}`));
  }
  pairs.close();
  return found;
}

for (const bug of BUGS) {
  test(`the contract notices ${bug.name}`, async (t) => {
    const [first] = await broken(bug, 1);
    assert.ok(first !== undefined, 'nobody noticed');
    t.diagnostic(first.split('\n')[0] ?? '');
  });
}

test('with as little patience, a core without a planted bug keeps the contract', async () => {
  assert.deepEqual(await broken({ name: 'none' }, Number.POSITIVE_INFINITY), []);
});
