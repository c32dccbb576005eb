import { test } from 'node:test';
import { SYSCALLS } from '#platform/ffi/syscalls.ts';
import { CoreIo } from '#platform/io/core/core-io.ts';
import { NodeIo } from '#platform/io/node/node-io.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import { diceOf, moodyCalls } from './faulty-calls.testing.ts';
import { keptMishaps, type Subject, tcpPairs, tlsPairs } from './pairs.testing.ts';
import { runSchedules } from './schedules.testing.ts';

// What both ends do, and how the kernel answers, are drawn from a seed. `SEED=n` runs one case; `CASES=n` so many as many, as `make
// soak-io` does.

const SEED = process.env.SEED === undefined ? null : Number(process.env.SEED);
const CASES = Number(process.env.CASES ?? 1);
/** Between the kinds below: each has seeds of its own. */
const APART = 100_000_000;

type Kind = { readonly name: string; readonly cases: number; readonly mistakesResets?: boolean; subject(): Subject };

function core(moody: boolean): Subject {
  const mishaps = keptMishaps();
  const clock = new SteppedClock();
  return { io: new CoreIo(clock, mishaps, moody ? moodyCalls(diceOf(1)) : SYSCALLS), clock, mishaps };
}

function node(): Subject {
  const mishaps = keptMishaps();
  const clock = new SteppedClock();
  return { io: new NodeIo(clock, mishaps), clock, mishaps };
}

const KINDS: readonly Kind[] = [
  { name: 'I/O core', cases: 4_000, subject: () => core(false) },
  { name: 'I/O core, and a moody kernel', cases: 4_000, subject: () => core(true) },
  { name: 'node:net', cases: 2_000, mistakesResets: true, subject: node },
];

KINDS.forEach(({ name, cases, mistakesResets = false, subject }, index) => {
  for (const kind of ['TCP', 'TLS'] as const) {
    const count = (kind === 'TCP' ? cases : cases / 8) * CASES;
    const first = SEED ?? APART * (1 + index * 2 + (kind === 'TCP' ? 0 : 1));
    test(`${name}, ${kind}: ${SEED === null ? count : 1} random schedules keep the contract`, async () => {
      const one = subject();
      const maker = kind === 'TCP' ? tcpPairs(one) : await tlsPairs(one);
      try {
        await runSchedules({ ...maker, mistakesResets: mistakesResets && kind === 'TCP' }, first, SEED === null ? count : 1);
      } finally {
        maker.close();
      }
    });
  }
});
