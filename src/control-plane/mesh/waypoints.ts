import type { MeshReader } from '#control-plane/index/derivation.ts';
import type { GatewayKey } from '#control-plane/index/index-delta.ts';
import { type MeshOptions, serviceHostname } from '#control-plane/index/mesh-options.ts';
import { localNameOf, tableOf } from '#control-plane/index/table.ts';
import type { LabelSelector } from '#control-plane/resources/label-selector.ts';
import { PORT } from '#model/mesh/ports.ts';
import type { GatewayAddress } from '#model/mesh/service.ts';

/** Which namespaces a listener accepts. */
export type AllowedNamespaces =
  | { kind: 'all' }
  | { kind: 'same' }
  | { kind: 'none' }
  | { kind: 'selector'; selector: LabelSelector };

/** Which traffic a waypoint takes. */
export type WaypointTraffic = 'service' | 'workload' | 'all' | 'none';

/** What binding needs to know of a Gateway. */
export type GatewayInfo = {
  /** `<namespace>/<name>`. */
  key: GatewayKey;
  namespace: string;
  name: string;
  className: string;
  /** Of its instances. */
  serviceAccount: string;
  /** Weft runs it. */
  managed: boolean;
  /** Nobody asked for it by name. */
  automatic: boolean;
  /** It has been ready once. */
  activated: boolean;
  traffic: WaypointTraffic;
  allowed: AllowedNamespaces;
  /** Where traffic for it is sent, whether it is ready or not. */
  address: GatewayAddress;
  state:
    | { kind: 'ready' }
    /** Bound all the same: traffic is refused until it is ready. */
    | { kind: 'not-ready'; why: string }
    /** Can never work as it is: traffic is refused. */
    | { kind: 'unusable'; why: string };
};

/** Whether Weft runs a waypoint for the Gateway. */
export function isRun(info: GatewayInfo | null): info is GatewayInfo {
  return info?.managed === true && info.state.kind !== 'unusable';
}

/** Every Gateway summed up, by `<namespace>/<name>`. */
export const WAYPOINTS = tableOf<GatewayInfo>()('waypoints', { by: { namespace: ({ namespace }) => [namespace] } });

/** Names of the Gateways of a namespace, to suggest one. */
export function gatewayNamesIn(mesh: MeshReader<typeof WAYPOINTS>, namespace: string): string[] {
  return mesh.keysBy(WAYPOINTS, 'namespace', namespace).map(localNameOf);
}

/** The waypoint's own service, by name: also the address of a Gateway that does not exist (yet). */
export function ownAddress(namespace: string, name: string, options: MeshOptions): GatewayAddress {
  return { kind: 'hostname', namespace, hostname: serviceHostname(namespace, name, options), hbonePort: PORT.hbone };
}

/** An address that no service can have (RFC 6761), whose name says why the traffic is refused. */
export function refusedAddress(namespace: string, name: string, why: string): GatewayAddress {
  return { kind: 'hostname', namespace, hostname: `${name}.${namespace}.${why}.invalid`, hbonePort: PORT.hbone };
}
