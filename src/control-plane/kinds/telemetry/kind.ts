import { defineKind } from '#control-plane/index/kind-definition.ts';
import type { PolicyTarget } from '#control-plane/mesh/policy-targets.ts';
import { refusedFor } from '#control-plane/resources/cluster-kind.ts';
import { readWorkloadSelector } from '#control-plane/resources/label-selector.ts';
import type { Metadata } from '#control-plane/resources/metadata.ts';
import { type LabelRule, type MetricEntry, RULED_METRICS, type RuledMetric, type Side } from '#model/telemetry/metric-rules.ts';
import type { LogEntry, SpanTag, TracingEntry } from '#model/telemetry/rules.ts';
import { checkTelemetry, LOG_PROVIDER, METRICS_PROVIDER } from './check.ts';
import { canChange } from './check-metrics.ts';
import { attachedTelemetry, TELEMETRIES, telemetryStatus } from './derive.ts';
import { TELEMETRY_FIELDS } from './fields.ts';
import type {
  RawLogging,
  RawMetrics,
  RawMode,
  RawOverride,
  RawProviders,
  RawTag,
  RawTelemetry,
  RawTracing,
  TelemetryResource,
} from './schema.ts';

/** Of each that names targets. */
const CONDITIONS = ['WaypointAccepted'];

/** How a Telemetry is read: waypoints tell what it says. */
export const telemetryKind = defineKind({
  kind: 'Telemetry',
  group: 'telemetry.istio.io',
  versions: ['v1', 'v1alpha1'],
  namespaced: true,
  schema: { kind: 'crd', file: 'telemetry.istio.io_telemetries.yaml' },
  unknownFields: 'error',
  cluster: { status: { form: 'conditions', types: CONDITIONS, refused: () => refusedFor('Invalid', CONDITIONS) } },
  fields: TELEMETRY_FIELDS,
  check: checkTelemetry,
  read: readTelemetry,
  resources: TELEMETRIES,
  derivations: [attachedTelemetry, telemetryStatus],
});

/** The single targetRef of older versions counts like one entry of targetRefs. */
function readTelemetry({ spec = {} }: RawTelemetry, metadata: Metadata): TelemetryResource {
  const refs = [...(spec.targetRef === undefined ? [] : [spec.targetRef]), ...(spec.targetRefs ?? [])];
  // Istio: the others do not count, which the check tells.
  const [tracing] = spec.tracing ?? [];
  return {
    kind: 'Telemetry',
    metadata,
    selects: readWorkloadSelector(spec.selector) !== null,
    targets: refs.map(({ kind, name }) => ({ kind: kind as PolicyTarget['kind'], name })),
    spec: {
      accessLog: (spec.accessLogging ?? []).filter((one) => concerns(LOG_PROVIDER, one)).map(readLogging),
      tracing: tracing === undefined ? null : readTracing(tracing),
      metrics: (spec.metrics ?? []).filter((one) => concerns(METRICS_PROVIDER, one)).flatMap(readMetrics),
    },
  };
}

/** What is said for other providers alone says nothing of ours. */
function concerns(ours: string, { providers = [] }: { providers?: RawProviders }): boolean {
  return providers.length === 0 || providers.some(({ name }) => name === ours);
}

/** An entry without `disabled` asks for the log, which a wider Telemetry may have taken away. */
function readLogging({ match, disabled, filter }: RawLogging): LogEntry {
  return { sides: sidesOf(match?.mode), disabled: disabled ?? false, filter: filter?.expression || null };
}

/** Zero percent is something else than nothing: null stands for that. */
function readTracing(raw: RawTracing): TracingEntry {
  const { match, customTags } = raw;
  return {
    sides: sidesOf(match?.mode),
    percent: raw.randomSamplingPercentage ?? null,
    reported: negated(raw.disableSpanReporting),
    tags: customTags === undefined ? null : Object.entries(customTags).flatMap(([tag, one]) => readTag(tag, one) ?? []),
    istioTags: raw.enableIstioTags ?? null,
    byRequestId: raw.useRequestIdForTraceSampling ?? null,
    propagated: negated(raw.disableContextPropagation),
  };
}

/** What is not written, or null, is not said. */
function negated(value: boolean | null | undefined): boolean | null {
  return typeof value === 'boolean' ? !value : null;
}

/** Null: it is of a kind that no waypoint has. */
function readTag(tag: string, { literal, header, environment }: RawTag): SpanTag | null {
  if (literal !== undefined) return { tag, from: 'literal', name: literal.value, otherwise: null };
  const named = header ?? environment;
  if (named === undefined) return null;
  const otherwise = named.defaultValue || null;
  if (header !== undefined) return { tag, from: 'header', name: header.name.toLowerCase(), otherwise };
  return { tag, from: 'environment', name: named.name, otherwise };
}

/** Overrides of metrics that are not counted here say nothing. */
function readMetrics({ overrides = [] }: RawMetrics): MetricEntry[] {
  return overrides.flatMap(({ match = {}, disabled, tagOverrides = {} }): MetricEntry[] => {
    const metrics = metricsNamed(match);
    if (metrics.length === 0) return [];
    const labels = Object.entries(tagOverrides).flatMap(([tag, { operation, value }]): LabelRule[] => {
      // It was told that it stays.
      if (!canChange(tag, operation)) return [];
      return [{ tag, value: operation === 'REMOVE' ? null : (value ?? null) }];
    });
    return [{ sides: sidesOf(match.mode), metrics, disabled: disabled ?? null, labels }];
  });
}

/** As on the page; none where it is one that nobody counts, which the table of fields tells. */
function metricsNamed({ metric = 'ALL_METRICS', customMetric }: NonNullable<RawOverride['match']>): readonly RuledMetric[] {
  if (customMetric !== undefined) return [];
  return metric === 'ALL_METRICS'
    ? Object.values(RULED_METRICS)
    : Object.entries(RULED_METRICS).flatMap(([name, ours]) => (name === metric ? [ours] : []));
}

const SIDES: Readonly<Record<RawMode, readonly Side[]>> = {
  CLIENT: ['client'],
  SERVER: ['server'],
  CLIENT_AND_SERVER: ['client', 'server'],
};

/** Without a mode, both sides are meant (Istio). */
function sidesOf(mode: RawMode = 'CLIENT_AND_SERVER'): readonly Side[] {
  return SIDES[mode];
}
