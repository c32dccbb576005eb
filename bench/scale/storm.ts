import { setTimeout as sleep } from 'node:timers/promises';
import { AUTHORIZATION_TYPE } from '#protocol/xds/type-urls.ts';
import type { MeasuredControl } from './control.ts';
import { NOTING } from './fleet-messages.ts';
import type { Fleet } from './fleet-process.ts';
import { editOfStorm, editPolicy } from './mesh.ts';
import { costOf, quantile, type ScaleRow } from './rows.ts';

/** Files that are edited one after the other. */
export const STORM_FILES = 1_000;
const STORM_MS = 5_000;
/** How often files are written: as many as were to be written by then. */
const STEP_MS = 10;
/** How often a policy changes meanwhile. */
const POLICY_EVERY_MS = 250;

/** What a storm is told to be. */
export type Storm = { id: string; perSecond: number; control: MeasuredControl; fleet: Fleet; mesh: string };

/**
 * So many files of a workload each are edited each second, and a policy now and then: what an edit costs, how long the policy is on
 * its way to a client, and for how long the loop stands still.
 */
export async function measureStorm({ id, perSecond, control, fleet, mesh }: Storm): Promise<ScaleRow[]> {
  fleet.tell({ kind: 'tell', all: false });
  const before = await control.usage();
  const policies = policyEdits(fleet, mesh);
  const edits = await writeStorm(mesh, perSecond);
  const took = await policies;
  const { cpuMs, stallMs, turnMs } = costOf(before, await control.usage());
  fleet.tell({ kind: 'tell', all: true });
  return [
    { id: `${id}.rate`, value: edits / (STORM_MS / 1_000), unit: '/s', bound: null },
    { id: `${id}.cpu`, value: cpuMs / (edits + took.length), unit: 'ms', bound: 0.5 },
    { id: `${id}.policy.p50`, value: quantile(took, 0.5), unit: 'ms', bound: null },
    { id: `${id}.policy.p99`, value: quantile(took, 0.99), unit: 'ms', bound: 100 },
    { id: `${id}.stall`, value: stallMs, unit: 'ms', bound: 50 },
    { id: `${id}.turn`, value: turnMs, unit: 'ms', bound: 50 },
  ];
}

/** Returns how many were written: fewer than were to be where the machine has no time for more. */
export async function writeStorm(mesh: string, perSecond: number): Promise<number> {
  const beganMs = performance.now();
  let edits = 0;
  for (;;) {
    const passedMs = Math.min(STORM_MS, performance.now() - beganMs);
    for (; edits < (passedMs / 1_000) * perSecond; edits++)
      editOfStorm(mesh, edits % STORM_FILES, 2 + Math.floor(edits / STORM_FILES) + perSecond);
    if (passedMs >= STORM_MS) return edits;
    await sleep(STEP_MS);
  }
}

/** How long each edit of a policy is on its way. */
async function policyEdits(fleet: Fleet, mesh: string): Promise<number[]> {
  const took: number[] = [];
  for (let at = 0; at < STORM_MS / POLICY_EVERY_MS; at++) {
    await sleep(POLICY_EVERY_MS);
    fleet.forget();
    const beganMs = Date.now();
    await editPolicy(mesh, 20_000 + (beganMs % 20_000));
    const { atMs } = await fleet.told(NOTING, AUTHORIZATION_TYPE);
    took.push(atMs - beganMs);
  }
  return took;
}
