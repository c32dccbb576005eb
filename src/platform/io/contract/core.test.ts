import { test } from 'node:test';
import { CoreIo } from '#platform/io/core/core-io.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import { keptMishaps, type Subject, tcpPairs, tlsPairs } from './pairs.testing.ts';
import { STREAM_RULES } from './stream-rules.testing.ts';

function subject(): Subject {
  const clock = new SteppedClock();
  const mishaps = keptMishaps();
  return { io: new CoreIo(clock, mishaps), clock, mishaps };
}

const one = subject(); // two loops in one thread would wait for each other
for (const maker of [tcpPairs(one), await tlsPairs(one)]) {
  for (const { name, hold } of STREAM_RULES) test(`I/O core, ${maker.name}: ${name}`, () => hold(maker));
  test(`I/O core, ${maker.name}: closes`, () => maker.close());
}
