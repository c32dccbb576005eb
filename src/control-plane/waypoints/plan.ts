import { isDeepStrictEqual } from 'node:util';
import { CONTROL } from '#model/settings/control-planes.ts';
import { type WaypointSpec, waypointKey } from './runner.ts';

/** How starting one waypoint went so far. */
export type Attempts = {
  /** Starts that failed or did not last, since the last one that did. */
  failures: number;
  /** When it may be started again. */
  notBeforeMs: number;
};

/** One step towards the desired waypoints. */
export type WaypointAction =
  | { kind: 'start'; spec: WaypointSpec }
  | { kind: 'stop'; waypoint: { namespace: string; name: string } };

/**
 * What is to be done so that exactly the desired waypoints run, each as described.
 * One that runs with another identity or other labels is stopped; the next round starts it anew.
 */
export function planWaypoints(
  desired: ReadonlyMap<string, WaypointSpec>,
  running: ReadonlyMap<string, WaypointSpec>,
  attempts: ReadonlyMap<string, Attempts>,
  nowMs: number,
): WaypointAction[] {
  const actions: WaypointAction[] = [];
  for (const [key, waypoint] of running) {
    const wanted = desired.get(key);
    if (wanted === undefined || !sameSpec(wanted, waypoint)) actions.push({ kind: 'stop', waypoint });
  }
  for (const [key, spec] of desired) {
    if (!running.has(key) && (attempts.get(key)?.notBeforeMs ?? 0) <= nowMs) actions.push({ kind: 'start', spec });
  }
  return actions;
}

/** Milliseconds before the next start after `failures` (at least 1) in a row: 0.5 s, doubling up to 30 s. */
export function restartDelayMs(failures: number): number {
  return Math.min(CONTROL.restartMaxMs, CONTROL.restartFirstMs * 2 ** Math.min(failures - 1, 20));
}

/** The part of a description that a running waypoint cannot take over. */
export function specOf({ namespace, name, serviceAccount, labels }: WaypointSpec): WaypointSpec {
  return { namespace, name, serviceAccount, labels: { ...labels } };
}

function sameSpec(a: WaypointSpec, b: WaypointSpec): boolean {
  return waypointKey(a) === waypointKey(b) && isDeepStrictEqual(specOf(a), specOf(b));
}
