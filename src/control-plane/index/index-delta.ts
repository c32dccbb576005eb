import type { Allocations } from '#control-plane/index/vip-allocator.ts';
import type { Problem } from '#control-plane/resources/finding.ts';
import type { Resource, ResourceName } from '#control-plane/resources/resource.ts';
import type { IpAddress } from '#model/address/ip.ts';
import type { MeshDelta } from '#model/mesh/mesh-state.ts';
import type { RegisteredWorkload } from '#model/mesh/registration.ts';
import type { WaypointConfig } from '#model/waypoint/config.ts';

/** What happened since the last change. */
export type IndexChange = {
  upserted?: readonly Resource[];
  removed?: readonly ResourceName[];
  /** node → every workload that runs there now, instead of those of before. */
  nodes?: ReadonlyMap<string, readonly RegisteredWorkload[]>;
  /** Addresses that the replica which leads has given to services, complete: they are the same at every replica. */
  allocations?: Allocations;
};

/** One condition of a resource's status. */
export type Condition = {
  resource: ResourceName;
  type: string;
  status: 'True' | 'False';
  reason: string;
  message: string;
  /** Of a route: for which entries of `parentRefs` it holds. Without it: for all that another condition names. */
  parents?: readonly number[];
  /** Of a Gateway: the listener that it is about. Without it: the Gateway. */
  listener?: string;
  /** What the status of the Gateway, or of the listener, tells beside its conditions. */
  fields?: Readonly<Record<string, unknown>>;
};

/** `<namespace>/<name>` of a Gateway. */
export type GatewayKey = string;

/** Labels and annotations for what a Gateway is run by. */
export type Infrastructure = {
  labels: Readonly<Record<string, string>>;
  annotations: Readonly<Record<string, string>>;
};

/** A waypoint that is to run. */
export type ManagedGateway = {
  namespace: string;
  name: string;
  className: string;
  /** Identity of its instances, in its namespace. */
  serviceAccount: string;
  /** Labels its instances must carry: by them they become endpoints of the waypoint. */
  labels: Readonly<Record<string, string>>;
  /** What its Gateway wants on everything that it is run by. */
  infrastructure: Infrastructure;
  /** VIPs of the waypoint. */
  addresses: readonly IpAddress[];
  hostname: string;
};

/** The Gateway that a namespace is given because something there needs a waypoint and names none. */
export type AutoGateway = {
  namespace: string;
  name: string;
  /** Something needs it now. */
  isNeeded: boolean;
  isThere: boolean;
  isReady: boolean;
  /** That it has been ready is written on it. */
  isActivated: boolean;
};

/** Outputs that differ from what they were before the change: key → new value, or null when it is gone. */
export type IndexDelta = {
  mesh: MeshDelta;
  waypoints: ReadonlyMap<GatewayKey, WaypointConfig | null>;
  gateways: ReadonlyMap<GatewayKey, ManagedGateway | null>;
  /** By namespace. */
  autoGateways: ReadonlyMap<string, AutoGateway | null>;
  /** All conditions of each resource named; an empty list when none are left. */
  conditions: ReadonlyMap<ResourceName, readonly Condition[]>;
  /** All problems of each resource named; an empty list when none are left. */
  problems: ReadonlyMap<ResourceName, readonly Problem[]>;
  /**
   * Service (`<namespace>/<name>`) → addresses it was given, complete; null when unchanged. To be kept across
   * restarts: `Object.fromEntries` of it is what MeshIndex takes.
   */
  allocations: ReadonlyMap<string, readonly IpAddress[]> | null;
};
