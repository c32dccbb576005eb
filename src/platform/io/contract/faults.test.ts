import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { test } from 'node:test';
import { ERRNO } from '#platform/ffi/libc.ts';
import { CoreIo } from '#platform/io/core/core-io.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import { turns, until } from './end.testing.ts';
import { FAILING, FAILING_ALL_THE_SAME, failingCalls } from './faulty-calls.testing.ts';
import { endsOf, keptMishaps, tcpPairs, tlsPairs } from './pairs.testing.ts';
import { verified } from './stream-rules.testing.ts';

const PATIENCE = { turns: 4_000 };
const descriptors = (): number => readdirSync('/proc/self/fd').length;

type Conversation = { readonly kind: 'TCP' | 'TLS'; readonly failing: string; readonly errno: number; readonly nth: number };

/** A connection of which one call fails. False: it was over before there were so many. */
async function converse({ kind, failing, errno, nth }: Conversation): Promise<boolean> {
  let left = Number.POSITIVE_INFINITY;
  let reached = false;
  const fails = (name: string): boolean => {
    if (name !== failing || left-- !== 0) return false;
    reached = true;
    return true;
  };
  const mishaps = keptMishaps();
  const clock = new SteppedClock();
  const io = new CoreIo(clock, mishaps, failingCalls(errno, fails));
  const one = { io, clock, mishaps };
  const maker = kind === 'TCP' ? tcpPairs(one, PATIENCE) : await tlsPairs(one, PATIENCE);
  left = nth;
  try {
    const { a, b } = await endsOf(maker);
    a.write(10);
    await turns(2);
    b.pause();
    for (let piece = 0; piece < 3; piece++) a.write(150_000);
    await turns(2);
    b.resume();
    b.write(30_000);
    b.end();
    await turns(2);
    a.end();
    await until(() => a.over !== null && b.over !== null, `over: ${a.over?.kind}, ${b.over?.kind}`, PATIENCE);
    verified({ a, b });
    for (const [end, peer] of [
      [a, b],
      [b, a],
    ] as const)
      if (end.over?.kind === 'finished') assert.equal(end.received, peer.sent, 'finished without all bytes');
    assert.deepEqual(mishaps.errors, []);
  } catch (error) {
    // A connection that does not come about has said so.
    if (!(error instanceof Error && /^(dialling|handshake)/.test(error.message))) throw error;
  } finally {
    left = Number.POSITIVE_INFINITY;
    maker.close();
  }
  return reached;
}

for (const kind of ['TCP', 'TLS'] as const) {
  for (const failing of [...FAILING, ...FAILING_ALL_THE_SAME]) {
    test(`${kind}: any ${failing} may fail: both ends are told that it is over, and nothing is left behind`, async () => {
      await turns();
      const before = descriptors();
      for (const errno of [ERRNO.reset, ERRNO.timedOut]) {
        for (let nth = 0; nth < 40; nth++) {
          let reached = false;
          try {
            reached = await converse({ kind, failing, errno, nth });
          } catch (error) {
            throw new Error(`when number ${nth} fails: ${error instanceof Error ? error.message : String(error)}`, {
              cause: error,
            });
          }
          if (!reached) break;
        }
      }
      for (let turn = 0; turn < 500 && descriptors() > before; turn++) await turns(1);
      // Each case has a loop of its own, whose epoll stays.
      assert.ok(descriptors() - before <= 170, `${descriptors() - before} descriptors more`);
    });
  }
}
