import type { Metadata } from '#control-plane/resources/metadata.ts';
import type { HeaderChanges, HttpRouteRule } from '#model/waypoint/config.ts';
import type { ConnectionMatch } from '#model/waypoint/connection-routes.ts';
import type { HttpMirror } from '#model/waypoint/filters.ts';
import type { VirtualMatch } from '#model/waypoint/virtual.ts';
import type { RawVirtualRule } from './schema.ts';

/** Where requests go; not looked up yet. */
export type VirtualDestination = { host: string; subset: string | null; port: number | null };

/** A destination with its share. */
export type WeightedDestination = VirtualDestination & {
  weight: number;
  requestHeaders: HeaderChanges | null;
  responseHeaders: HeaderChanges | null;
};

/** Parts of a rule that are as the waypoint gets them, whatever the rule is attached to. */
export type SettledParts = Pick<
  HttpRouteRule,
  | 'requestHeaders'
  | 'responseHeaders'
  | 'requestTimeoutMs'
  | 'redirect'
  | 'directResponse'
  | 'cors'
  | 'backendTimeoutMs'
  | 'retry'
  | 'traffic'
>;

/** An entry of http. */
export type VirtualRule = {
  name: string;
  /** Each is a rule of its own at the waypoint; null: every request. Empty: none of what is written can ever hold here. */
  matches: readonly { name: string; match: VirtualMatch | null }[];
  destinations: readonly WeightedDestination[];
  mirrors: readonly (VirtualDestination & Pick<HttpMirror, 'numerator' | 'denominator'>)[];
  /** Null parts stay. */
  rewrite: { uri: string | null; authority: string | null } | null;
  parts: SettledParts;
  /** Fields that waypoints do not have: the rule answers 500 in place of doing the rest. */
  unsupported: readonly string[];
  /** Whose rules stand in its place, narrowed by what is written of this one; `key`: `<namespace>/<name>`. */
  delegate?: { key: string; written: RawVirtualRule };
};

/** An entry of tls or tcp. */
export type VirtualConnections = {
  path: readonly [string, 'tls' | 'tcp', number];
  /** Empty: every connection. */
  matches: readonly (Omit<ConnectionMatch, 'ports'> & { port: number | null })[];
  destinations: readonly (VirtualDestination & { weight: number })[];
};

/** How the requests to some hosts are routed; nothing it refers to has been looked up yet. */
export type VirtualServiceResource = {
  kind: 'VirtualService';
  metadata: Metadata;
  /** In lower case, as written otherwise. */
  hosts: readonly string[];
  gateways: readonly string[];
  exportTo: readonly string[];
  http: readonly VirtualRule[];
  /** Of one without hosts, which others delegate to: its rules as they are written. */
  delegated: readonly RawVirtualRule[];
  /** Of connections that are not HTTP: those by names go before. */
  connections: readonly VirtualConnections[];
};
