import type { NamedService } from '#model/mesh/service.ts';
import { DEFAULT_PATH_NORMALIZATION, type PathNormalization } from '#model/waypoint/config.ts';

/** What the whole mesh shares. */
export type MeshOptions = {
  clusterId: string;
  trustDomain: string;
  /** Last part of every service's hostname. */
  clusterDomain: string;
  /** Network of workloads that do not name one; '' for the default network. */
  network: string;
  /** Policies of this namespace without a selector apply to the whole mesh. */
  rootNamespace: string;
  /** Which spellings of a path are one and the same at every waypoint. */
  pathNormalization: PathNormalization;
  /** Who counts for global rate limits whose policies name nobody; null: nobody. */
  rateLimitService: NamedService | null;
  /** The waypoints that run here are told of a collector of traces. */
  traced: boolean;
  /** Where something needs a waypoint and nobody named one, one is made. */
  autoWaypoints: boolean;
};

/** Istio's defaults. */
export const DEFAULT_MESH_OPTIONS: MeshOptions = {
  clusterId: 'Kubernetes',
  trustDomain: 'cluster.local',
  clusterDomain: 'cluster.local',
  network: '',
  rootNamespace: 'istio-system',
  pathNormalization: DEFAULT_PATH_NORMALIZATION,
  rateLimitService: null,
  // Nobody who only reads documents knows what an operator named.
  traced: true,
  autoWaypoints: false,
};

/** `<name>.<namespace>.svc.<cluster domain>`. */
export function serviceHostname(namespace: string, name: string, { clusterDomain }: MeshOptions): string {
  return `${name}.${namespace}.svc.${clusterDomain}`;
}
