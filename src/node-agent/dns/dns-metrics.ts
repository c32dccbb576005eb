import type { Workload } from '#model/mesh/workload.ts';
import { UNKNOWN } from '#model/telemetry/labels.ts';
import type { Meters } from '#model/telemetry/meters.ts';
import type { DnsCounters, DnsLabels } from './effects.ts';

/** Counts DNS queries in ztunnel's metrics; `workloadOf`: the record of a workload's uid. */
export function dnsCounters(meters: Meters, workloadOf: (uid: string) => Workload | null): DnsCounters {
  const labelsOf = ({ workload, queryType, transport }: DnsLabels) => {
    const source = workloadOf(workload);
    return {
      request_query_type: queryType,
      request_protocol: transport,
      source_canonical_service: source?.canonicalName || UNKNOWN,
      source_canonical_revision: source?.canonicalRevision || UNKNOWN,
    };
  };
  return {
    request: (labels) => meters.counter('istio_dns_requests_total', labelsOf(labels)).add(),
    upstreamRequest: (labels) => meters.counter('istio_dns_upstream_requests_total', labelsOf(labels)).add(),
    upstreamFailure: (labels) => meters.counter('istio_dns_upstream_failures_total', labelsOf(labels)).add(),
    upstreamDuration: (labels, durationMs) =>
      meters.histogram('istio_dns_upstream_request_duration_seconds', labelsOf(labels)).observe(durationMs / 1_000),
    failed: (why, transport) => meters.counter('weft_dns_failures_total', { why, request_protocol: transport }).add(),
  };
}
