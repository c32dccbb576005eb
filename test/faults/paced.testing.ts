import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { AGENT } from '#model/settings/agents.ts';
import { tryCommand } from '#testbed/processes/command.ts';
import { cpuTimeOf, slownessSince } from '#testbed/processes/cpu-time.ts';

/** The thread that follows the mesh is alone on the first; everything else, others of the machine aside, is on the second. */
export const CPU = { control: '0', all: '1' } as const;
const [SETTLE_MS, IDLE_MS, BEGUN_MS, MARGIN_MS] = [1_000, 3_000, 200, 1_000];
/**
 * On a machine that is late with everything, also when only a stranger is busy, so many times as late as then; and where client and
 * server themselves have to wait for their CPU, as many times the bound as that.
 */
const [DELAY_MS_MAX, TIMES_IDLE_MAX] = [20, 3];
/** What others of the machine do may make anything late, once; what waits for the busy thread does so each time, for seconds. */
const ROUNDS = 3;

type Summary = { count: number; p50: number; p999: number; most: number };

/** What a client that calls all the time tells of the time since it was asked last, in ms. */
export type Paced = { trips: Summary; dials: Summary; failed: number };

/** A client, and a process whose control thread can be made busy. */
export type PacedClient = {
  /** The client and whom it calls: they have nothing to do with that thread. */
  pids: readonly number[];
  report(): Promise<Paced>;
  /** Makes it busy for AGENT.drillBusyMs; the result is whether it has answered meanwhile. */
  keepBusy(): () => boolean;
  /** Resolves when it answers again. */
  atRest(): Promise<unknown>;
};

/** No byte and no new connection waits for a control thread that is busy. */
export async function undelayed(t: TestContext, client: PacedClient): Promise<void> {
  let late: string[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    late = await delayed(t, client);
    if (late.length === 0) return;
  }
  assert.fail(late.join('\n'));
}

async function delayed(t: TestContext, { pids, report, keepBusy, atRest }: PacedClient): Promise<string[]> {
  await sleep(SETTLE_MS);
  await report();
  // As much of the machine is taken by somebody else as will be then.
  const spin = ['timeout', String(IDLE_MS / 1_000), 'sh', '-c', 'while :; do :; done'];
  await tryCommand(['taskset', '-c', CPU.control, ...spin], 2 * IDLE_MS);
  const idle = await report();
  const hasAnswered = keepBusy();
  await sleep(BEGUN_MS);
  await report();
  const before = cpuTimeOf(...pids);
  await sleep(AGENT.drillBusyMs - MARGIN_MS);
  const busy = await report();
  const slowness = slownessSince(before, cpuTimeOf(...pids));
  assert.equal(hasAnswered(), false, 'the control thread was not busy');
  await atRest();
  assert.equal(busy.failed, idle.failed);
  return (['trips', 'dials'] as const).flatMap((kind) => {
    const said = `${kind}: idle ${JSON.stringify(idle[kind])}, busy ${JSON.stringify(busy[kind])}, slowness ${slowness.toFixed(2)}`;
    t.diagnostic(said);
    assert.ok(busy[kind].count > idle[kind].count, said);
    return busy[kind].p999 <= Math.max(slowness * DELAY_MS_MAX, TIMES_IDLE_MAX * idle[kind].p999) ? [] : [said];
  });
}
