import { setTimeout as sleep } from 'node:timers/promises';
import type { MeasuredControl } from './control.ts';
import type { Fleet } from './fleet-process.ts';
import { costOf, quantile, type ScaleRow } from './rows.ts';

const EDITS = 60;
/** Not measured: code that ran for the first time, a schema that was compiled for it, is no part of what an edit costs. */
const WARMING_EDITS = 20;

/** Edits of one file, one after the other, each until `watchers` clients have it. */
export type Edits = {
  id: string;
  edit: (dir: string, value: number) => Promise<void>;
  watchers: number;
  /** Of the CPU of one. */
  cpuBound: number | null;
  control: MeasuredControl;
  fleet: Fleet;
  mesh: string;
};

/** How long they are on their way, what each costs, and the longest turn meanwhile. */
export async function measureEdits({ id, edit, watchers, cpuBound, control, fleet, mesh }: Edits): Promise<ScaleRow[]> {
  let before = await control.usage();
  let took: number[] = [];
  for (let at = 0; at < WARMING_EDITS + EDITS; at++) {
    if (at === WARMING_EDITS) {
      before = await control.usage();
      took = [];
    }
    fleet.forget();
    const beganMs = Date.now();
    await edit(mesh, at + 2 + watchers);
    const told = await fleet.reports('told', watchers);
    took.push(Math.max(...told.map(({ atMs }) => atMs)) - beganMs);
    await sleep(20);
  }
  const { cpuMs, stallMs, turnMs } = costOf(before, await control.usage());
  return [
    { id: `${id}.p50`, value: quantile(took, 0.5), unit: 'ms', bound: null },
    { id: `${id}.p99`, value: quantile(took, 0.99), unit: 'ms', bound: 100 },
    { id: `${id}.cpu`, value: cpuMs / EDITS, unit: 'ms', bound: cpuBound },
    { id: `${id}.stall`, value: stallMs, unit: 'ms', bound: 50 },
    { id: `${id}.turn`, value: turnMs, unit: 'ms', bound: 50 },
  ];
}
