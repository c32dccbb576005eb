import type { Cancel } from '#model/effects/clock.ts';

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

/** Starts and stops waypoints, wherever they run. They outlive the control plane: `list` finds them again. */
export type WaypointRunner = {
  /**
   * Starts the waypoint; it is alive when this resolves. `token` is what it presents to the control plane.
   * Errors: any, with a sentence for the status; it is tried again later.
   */
  start(spec: WaypointSpec, token: string): Promise<void>;
  /** Ends the waypoint and removes what it stood on. Ending one that is gone is no error. */
  stop(waypoint: { namespace: string; name: string }): Promise<void>;
  /** Every waypoint alive now, with what it was started as, also those an earlier control plane started. */
  list(): Promise<readonly WaypointSpec[]>;
  /** Calls `changed` when a waypoint may have ended. Without it an end is noticed within a second. */
  watch?: (changed: () => void) => Cancel;
};

/** `<namespace>/<name>`. */
export function waypointKey({ namespace, name }: { namespace: string; name: string }): string {
  return `${namespace}/${name}`;
}
