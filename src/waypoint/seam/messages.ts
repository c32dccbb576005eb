import type { MeshDelta } from '#model/mesh/mesh-state.ts';
import type { ServiceKey } from '#model/mesh/service.ts';
import type { Span } from '#model/telemetry/trace.ts';
import type { WaypointBase, WaypointService } from '#model/waypoint/config.ts';
import type { KeySource } from '#model/waypoint/jwt.ts';
import type { CommonToControl, CommonToData, Link } from '#protocol/seam/common-messages.ts';
import type { ToldKeys } from '#waypoint/keys/fetched-keys.ts';
import type { WaypointCounts } from '#waypoint/self/counters.ts';

// What passes between the one that follows mesh and configuration (control) and those that serve (data). Each of those has the mesh
// and the compiled configuration to itself, so that no request ever asks.

/** From whoever knows. */
export type ToData =
  | CommonToData
  /** Of a large change, a part. */
  | { readonly kind: 'mesh'; readonly delta: MeshDelta }
  /** What applies to all services of the next configuration. */
  | { readonly kind: 'base'; readonly base: WaypointBase }
  /** What the next configuration says of one service, and those after it until it is told again. */
  | { readonly kind: 'service'; readonly service: WaypointService }
  /** What was told of these services is in force from now on, nothing else; null: nothing is served. */
  | { readonly kind: 'configure'; readonly services: readonly ServiceKey[] | null }
  /** What was fetched of keys; the answer to all that wanted them. */
  | ({ readonly kind: 'keys' } & ToldKeys)
  /** To accept on these, of other proxies and of clients of this node; descriptors belong to whoever gets them. */
  | { readonly kind: 'listen'; readonly peersFd: number; readonly localFd: number }
  /** To accept nothing more: another process does, or none. */
  | { readonly kind: 'retire' }
  /** To end what is open in order, and to say so; what is left after so long is given up. */
  | { readonly kind: 'drain'; readonly withinMs: number }
  /** To cut what is left. Nothing is told after it. */
  | { readonly kind: 'end' };

/** From whoever serves. */
export type ToControl =
  | CommonToControl
  /** What it was told last of mesh or configuration could not be put in force: nothing is served until the next configuration. */
  | { readonly kind: 'failed' }
  /** For the collector; `dropped`: how many more there were than are kept. */
  | { readonly kind: 'spans'; readonly spans: readonly Span[]; readonly dropped: number }
  | { readonly kind: 'drained' }
  /** A token names a key that is not among those from there. */
  | { readonly kind: 'keys'; readonly source: KeySource };

/** One that serves, from the side of control. */
export type Plane = Link<ToData> & {
  /** As of a short while ago, if it is in another thread. */
  readonly counts: WaypointCounts;
  /** Resolves when it has done what `end` says. */
  ended(): Promise<void>;
};
