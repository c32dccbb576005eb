import { isDeepStrictEqual } from 'node:util';
import type { AutoGateway, ManagedGateway } from '#control-plane/index/index-delta.ts';
import type { Cancel } from '#model/effects/clock.ts';
import { backoffMs, UNSPREAD } from '#model/resilience/retry.ts';
import { CONTROL } from '#model/settings/control-planes.ts';
import { KUBERNETES } from '#model/settings/kubernetes.ts';

/** What one waypoint process is to be. */
export type WaypointSpec = {
  namespace: string;
  /** Name of the Gateway. */
  name: string;
  /** Identity it runs as, in its namespace. */
  serviceAccount: string;
  /** Labels of its workload: by them the mesh finds it behind the waypoint's service. */
  labels: Readonly<Record<string, string>>;
};

/** One that is alive; `leaving`: somebody told it to end, and it serves until the next one takes its place. */
export type LiveWaypoint = WaypointSpec & { leaving?: true };

/** Starts and stops waypoints, wherever they run. They outlive the control plane: `list` finds them again. */
export type WaypointRunner = {
  /**
   * Starts the waypoint, beside one that is leaving; it is alive when this resolves. `token` is what it presents to the control plane.
   * Errors: any, with a sentence for the status; it is tried again later.
   */
  start(spec: WaypointSpec, token: string): Promise<void>;
  /** Hands a waypoint that runs its next token; it reads it when it needs one. Absent: it gets them otherwise. */
  renew?(waypoint: { namespace: string; name: string }, token: string): Promise<void>;
  /** Ends the waypoint and removes what it stood on. Ending one that is gone is no error. */
  stop(waypoint: { namespace: string; name: string }): Promise<void>;
  /** Every waypoint alive now, with what it was started as, also those an earlier control plane started. */
  list(): Promise<readonly LiveWaypoint[]>;
  /** Calls `changed` when a waypoint may have ended. Without it an end is noticed within a second. */
  watch?: (changed: () => void) => Cancel;
};

/** Keeps one waypoint per desired Gateway, wherever waypoints run. */
export type WaypointKeeper = {
  /** Begins to act. What is desired must be complete by now. */
  start(): void;
  /** Takes changed Gateways in; null: the Gateway is gone. */
  change(gateways: ReadonlyMap<string, ManagedGateway | null>): void;
  /** Gateways that are to be there without anybody asking for them, by namespace. Absent: none are made here. */
  changeAutomatic?(gateways: ReadonlyMap<string, AutoGateway | null>): void;
  /** Stops acting. The waypoints run on. */
  stop(): Promise<void>;
  /** Stops acting and ends every waypoint that would not run on by itself. */
  stopAll(): Promise<void>;
  /** Every desired waypoint. */
  states(): WaypointState[];
};

/** One desired waypoint, for status pages. */
export type WaypointState = {
  spec: WaypointSpec;
  state: 'running' | 'starting' | 'stopped';
  restarts: number;
  problem: string | null;
};

/** `<namespace>/<name>`. */
export function waypointKey({ namespace, name }: { namespace: string; name: string }): string {
  return `${namespace}/${name}`;
}

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
 * One that runs with another identity or other labels is stopped; the next round starts it anew. One that is leaving is followed.
 */
export function planWaypoints(
  desired: ReadonlyMap<string, WaypointSpec>,
  running: ReadonlyMap<string, LiveWaypoint>,
  attempts: ReadonlyMap<string, Attempts>,
  nowMs: number,
): WaypointAction[] {
  const actions: WaypointAction[] = [];
  for (const [key, waypoint] of running) {
    const wanted = desired.get(key);
    if (wanted === undefined || !sameSpec(wanted, waypoint)) actions.push({ kind: 'stop', waypoint });
  }
  for (const [key, spec] of desired) {
    const one = running.get(key);
    const isNeeded = one === undefined || (one.leaving === true && sameSpec(spec, one));
    if (isNeeded && (attempts.get(key)?.notBeforeMs ?? 0) <= nowMs) actions.push({ kind: 'start', spec });
  }
  return actions;
}

/** Milliseconds before the next start after `failures` (at least 1) in a row: 0.5 s, doubling up to 30 s. One process each: nothing to spread. */
export function restartDelayMs(failures: number): number {
  return backoffMs(failures, { firstMs: CONTROL.restartFirstMs, maxMs: CONTROL.restartMaxMs }, UNSPREAD);
}

/** The part of a description that a running waypoint cannot take over. */
export function specOf({ namespace, name, serviceAccount, labels }: WaypointSpec): WaypointSpec {
  return { namespace, name, serviceAccount, labels: { ...labels } };
}

function sameSpec(a: WaypointSpec, b: WaypointSpec): boolean {
  return waypointKey(a) === waypointKey(b) && isDeepStrictEqual(specOf(a), specOf(b));
}

/** What is to be done about the Gateway that nobody asked for by name. `ms` null: nothing until something changes. */
export type AutoGatewayStep = { kind: 'create' | 'activate' | 'remove' } | { kind: 'wait'; ms: number | null };

/** `unneededMs`: for how long nothing has needed it; null: something does. */
export function autoGatewayStep(
  { isNeeded, isThere, isReady, isActivated }: AutoGateway,
  unneededMs: number | null,
): AutoGatewayStep {
  if (!isThere) return isNeeded ? { kind: 'create' } : { kind: 'wait', ms: null };
  // Written also when nothing needs it now: what comes back within its time finds it as it was.
  if (isReady && !isActivated) return { kind: 'activate' };
  if (unneededMs === null) return { kind: 'wait', ms: null };
  const restMs = KUBERNETES.autoWaypointLingerMs - unneededMs;
  return restMs > 0 ? { kind: 'wait', ms: restMs } : { kind: 'remove' };
}
