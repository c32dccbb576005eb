import { test } from 'node:test';
import { NodeIo } from '#platform/io/node/node-io.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import { keptMishaps, type Subject, tcpPairs, tlsPairs } from './pairs.testing.ts';
import { STREAM_RULES } from './stream-rules.testing.ts';

function subject(): Subject {
  const clock = new SteppedClock();
  const mishaps = keptMishaps();
  return { io: new NodeIo(clock, mishaps), clock, mishaps };
}

/** What node:net does not do: the peer of a socket that is reset right after it has written much is not told. */
const NOT_KEPT: ReadonlySet<string> = new Set(['an exception in `writable` costs that stream only']);

const one = subject(); // two loops in one thread would wait for each other
for (const maker of [tcpPairs(one), await tlsPairs(one)]) {
  for (const { name, hold } of STREAM_RULES) {
    const skip = maker.name === 'TCP' && NOT_KEPT.has(name);
    test(`node:net, ${maker.name}: ${name}`, { skip }, () => hold(maker));
  }
  test(`node:net, ${maker.name}: closes`, () => maker.close());
}
