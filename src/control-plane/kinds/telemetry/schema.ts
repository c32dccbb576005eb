import type { PolicyTarget } from '#control-plane/mesh/policy-targets.ts';
import type { Metadata, RawMetadata, RawWorkloadSelector } from '#control-plane/resources/metadata.ts';
import type { TelemetrySpec } from '#model/telemetry/rules.ts';

/** What is told; nothing it refers to has been looked up yet. */
export type TelemetryResource = {
  kind: 'Telemetry';
  metadata: Metadata;
  /** It has a selector: it is about the nodes of some workloads. */
  selects: boolean;
  targets: readonly PolicyTarget[];
  spec: TelemetrySpec;
};

/** A reference to a target, as written. */
export type RawTarget = { group?: string; kind: string; name: string; namespace?: string };

/** Whose side an entry is about, as written. */
export type RawMode = 'CLIENT_AND_SERVER' | 'CLIENT' | 'SERVER';

/** Providers, as written. */
export type RawProviders = { name: string }[];

/** An entry of accessLogging, as written. */
export type RawLogging = {
  match?: { mode?: RawMode };
  providers?: RawProviders;
  disabled?: boolean | null;
  filter?: { expression?: string };
};

/** A tag of spans, as written: one of these. */
export type RawTag = {
  literal?: { value: string };
  environment?: { name: string; defaultValue?: string };
  header?: { name: string; defaultValue?: string };
  formatter?: { value: string };
};

/** An entry of tracing, as written. */
export type RawTracing = {
  match?: { mode?: RawMode };
  providers?: RawProviders;
  randomSamplingPercentage?: number | null;
  disableSpanReporting?: boolean | null;
  customTags?: Record<string, RawTag>;
  enableIstioTags?: boolean | null;
  useRequestIdForTraceSampling?: boolean | null;
  disableContextPropagation?: boolean | null;
};

/** An override of metrics, as written. */
export type RawOverride = {
  match?: { metric?: string; customMetric?: string; mode?: RawMode };
  disabled?: boolean | null;
  tagOverrides?: Record<string, { operation?: 'UPSERT' | 'REMOVE'; value?: string }>;
};

/** An entry of metrics, as written. */
export type RawMetrics = { providers?: RawProviders; overrides?: RawOverride[] };

/** The document, once its schema has passed. */
export type RawTelemetry = {
  metadata: RawMetadata;
  spec?: {
    selector?: RawWorkloadSelector;
    targetRef?: RawTarget;
    targetRefs?: RawTarget[];
    accessLogging?: RawLogging[];
    tracing?: RawTracing[];
    metrics?: RawMetrics[];
  };
};
