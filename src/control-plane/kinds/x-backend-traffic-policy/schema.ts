import type { RawSession } from '#control-plane/mesh/request-routes/documents.ts';
import type { RawRetryBudget } from '#control-plane/mesh/request-routes/retry-budget.ts';
import type { Metadata, RawMetadata } from '#control-plane/resources/metadata.ts';
import type { DestinationSettings } from '#model/waypoint/destination-settings.ts';

/** What the Gateway API calls a backend, and the mesh has, with the group of each. */
const GROUP_OF = { Service: '', ServiceEntry: 'networking.istio.io' } as const;

/** What a policy is about, in its own namespace. */
export type BackendTarget = {
  kind: keyof typeof GROUP_OF;
  name: string;
  /** Its place in `targetRefs`. */
  at: number;
};

/** Whether it is one of ours; others are for the controllers that have them. */
export function isBackendTarget(kind: unknown, group: unknown): kind is BackendTarget['kind'] {
  return (kind === 'Service' || kind === 'ServiceEntry') && GROUP_OF[kind] === group;
}

/** A policy; nothing it refers to has been looked up yet. */
export type BackendPolicyResource = {
  kind: 'XBackendTrafficPolicy';
  metadata: Metadata;
  targets: readonly BackendTarget[];
  settings: Pick<DestinationSettings, 'retryBudget' | 'session'>;
};

/** Defaults of the schema are already filled in. */
export type RawBackendPolicy = {
  metadata: RawMetadata;
  spec: {
    targetRefs: { group: string; kind: string; name: string }[];
    retryConstraint?: { budget?: Pick<RawRetryBudget, 'percent' | 'interval'>; minRetryRate?: RawRetryBudget['minRetryRate'] };
    sessionPersistence?: RawSession;
  };
};
