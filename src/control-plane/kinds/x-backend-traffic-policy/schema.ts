import type { BackendTarget } from '#control-plane/mesh/backend-targets.ts';
import type { RawSession } from '#control-plane/mesh/request-routes/documents.ts';
import type { RawRetryBudget } from '#control-plane/mesh/request-routes/retry-budget.ts';
import type { Metadata, RawMetadata } from '#control-plane/resources/metadata.ts';
import type { DestinationSettings } from '#model/waypoint/destination-settings.ts';

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
