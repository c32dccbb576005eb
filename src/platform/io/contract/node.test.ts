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

/** See NodeIo: the peer of what is reset has just read, and takes the reset for an end. */
const NOT_KEPT: ReadonlySet<string> = new Set(['an exception in `writable` costs that stream only']);

const one = subject();
for (const maker of [tcpPairs(one), await tlsPairs(one)]) {
  for (const { name, hold } of STREAM_RULES) {
    const skip = maker.name === 'TCP' && NOT_KEPT.has(name);
    test(`node:net, ${maker.name}: ${name}`, { skip }, () => hold(maker));
  }
  test(`node:net, ${maker.name}: closes`, () => maker.close());
}
