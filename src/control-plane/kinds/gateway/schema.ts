import type { Infrastructure } from '#control-plane/index/index-delta.ts';
import type { AllowedNamespaces } from '#control-plane/mesh/waypoints.ts';
import type { RawLabelSelector } from '#control-plane/resources/label-selector.ts';
import type { Metadata, RawMetadata } from '#control-plane/resources/metadata.ts';

/** A listener, as far as waypoints have a use for it. */
export type GatewayListener = {
  name: string;
  port: number;
  protocol: string;
  /** Namespaces whose services and workloads may name this gateway as their waypoint. */
  allowed: AllowedNamespaces;
  /** Fields that are written and have no effect at a waypoint. */
  unheeded: readonly string[];
  /** Kinds of routes that it is written for; empty: all. */
  kinds: readonly RouteKind[];
};

/** A kind of routes. */
export type RouteKind = { group: string; kind: string };

/** A waypoint when its class is one of those that Weft runs; else somebody else's gateway. */
export type GatewayResource = {
  kind: 'Gateway';
  metadata: Metadata;
  className: string;
  listeners: readonly GatewayListener[];
  /** For what it is run by. */
  infrastructure: Infrastructure;
  /** Where it is reached, as the controller of its class reports. */
  statusAddresses: readonly { type: 'Hostname' | 'IPAddress' | 'other'; value: string }[];
};

/** A listener as written. */
export type RawListener = {
  name: string;
  port: number;
  protocol: string;
  hostname?: string;
  tls?: { mode?: string };
  allowedRoutes?: {
    namespaces?: { from?: 'All' | 'Selector' | 'Same' | 'None'; selector?: RawLabelSelector };
    kinds?: { group?: string; kind: string }[];
  };
};

/** The document, once its schema has passed. */
export type RawGateway = {
  metadata: RawMetadata;
  spec: { gatewayClassName: string; listeners: RawListener[]; infrastructure?: Partial<Infrastructure> };
  status?: { addresses?: { type?: string; value: string }[] };
};
