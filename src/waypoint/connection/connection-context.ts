import type { Roster } from '#model/effects/roster.ts';
import type { ConnectionAuthorizer } from '#waypoint/connection/connection-authorizer.ts';
import type { ConnectionRoutes } from '#waypoint/connection/connection-routes.ts';
import type { Counters, Telemetry } from '#waypoint/self/counters.ts';
import type { WaypointEffects } from '#waypoint/self/effects.ts';
import type { WaypointSelf } from '#waypoint/self/self.ts';
import type { LiveConnection } from '#waypoint/state/snapshot.ts';
import type { WaypointState } from '#waypoint/state/waypoint-state.ts';
import type { Clusters } from '#waypoint/upstream/clusters.ts';
import type { Upstreams } from '#waypoint/upstream/upstreams.ts';

/** What the connections of one waypoint share. */
export type ConnectionContext = {
  readonly self: WaypointSelf;
  readonly effects: WaypointEffects;
  readonly counters: Counters;
  readonly telemetry: Telemetry;
  readonly upstreams: Upstreams;
  readonly clusters: Clusters;
  readonly routes: ConnectionRoutes;
  readonly authorizer: ConnectionAuthorizer;
  readonly state: WaypointState;
  /** What is under way, to be asked again when the policies change. */
  readonly live: Roster<LiveConnection>;
};
