import type { Counters } from '#waypoint/counters.ts';
import type { WaypointEffects } from '#waypoint/effects.ts';
import type { WaypointSelf } from '#waypoint/self.ts';
import type { Snapshot } from '#waypoint/snapshot.ts';
import type { Upstreams } from '#waypoint/upstream/upstreams.ts';

/** A connection that outlives a single decision: asked again whenever the policies change (DESIGN section 2). */
export type LiveConnection = { isAllowed(snapshot: Snapshot): boolean; cut(): void };

/** What the parts of one waypoint share. */
export type WaypointContext = {
  readonly self: WaypointSelf;
  readonly effects: WaypointEffects;
  readonly counters: Counters;
  readonly upstreams: Upstreams;
  readonly live: Set<LiveConnection>;
};
