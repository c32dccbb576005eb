import type { Workload } from '#model/mesh/workload.ts';
import { UNKNOWN } from '#model/telemetry/labels.ts';
import type { Meters, Reading } from '#model/telemetry/meters.ts';
import type { DnsCounters, DnsLabels } from '#node-agent/dns/effects.ts';
import type { Kernel } from '#node-agent/effects/agent-effects.ts';
import type { Enrollment } from '#node-agent/enrollment/enrollment.ts';
import type { LocalRecords } from '#node-agent/enrollment/local-records.ts';
import { LINK_CAUSE_NAMES } from '#node-agent/kernel/events.ts';

/** The agent, as far as its metrics page shows it. */
export type MeteredAgent = {
  kernel: Pick<Kernel, 'maps' | 'counters' | 'counter'>;
  records: Pick<LocalRecords, 'of'>;
  enrollment: Pick<Enrollment, 'all' | 'byNetnsCookie'>;
  generation(): number;
  carried(): number;
  tunnels(): number;
  isComplete(): boolean;
  /** Null: nothing is asked for on demand. */
  readonly demand: { readonly counts: Readonly<Record<'known' | 'unknown' | 'open', number>> } | null;
};

/** Counters of the kernel that have a metric of their own; all others say which way something went. */
const OWN_METRIC: ReadonlySet<string> = new Set(['event_lost', 'map_full', 'link_dropped']);

/** Shows what the agent and its kernel side hold on the agent's metrics page; read only when somebody looks. */
export function readAgentMetrics(meters: Meters, agent: MeteredAgent): void {
  const { kernel, enrollment, records } = agent;
  meters.read('weft_kernel_connections_total', () =>
    Object.entries(kernel.counters())
      .filter(([name]) => !OWN_METRIC.has(name))
      .map(([path, value]) => ({ labels: { path }, value })),
  );
  meters.readValue('weft_kernel_events_lost_total', () => kernel.counter('event_lost'));
  meters.readValue('weft_kernel_map_full_total', () => kernel.counter('map_full'));
  meters.read('weft_link_dropped_total', () => linkDrops(agent));
  meters.readValue('weft_direct_connections', () => Math.max(0, kernel.maps.totalShare.get(0)?.live ?? 0));
  meters.readValue('weft_carried_connections', () => agent.carried());
  meters.readValue('weft_tunnel_connections', () => agent.tunnels());
  meters.readValue('weft_verdicts', () => kernel.maps.verdicts.entries().length);
  meters.readValue('weft_verdict_generation', () => agent.generation());
  meters.readValue('weft_mesh_complete', () => (agent.isComplete() ? 1 : 0));
  meters.read('weft_lookups', () =>
    Object.entries(agent.demand?.counts ?? {}).map(([lookup, value]) => ({ labels: { lookup }, value })),
  );
  const known = (): number => enrollment.all().filter((enrolled) => records.of(enrolled) !== null).length;
  meters.read('weft_enrolled_workloads', () => [
    { labels: { enrollment: 'known' }, value: known() },
    { labels: { enrollment: 'pending' }, value: enrollment.all().length - known() },
  ]);
}

/** Only what happened: most workloads never send such a frame. */
function linkDrops({ kernel, enrollment }: MeteredAgent): Reading<'weft_link_dropped_total'>[] {
  return kernel.maps.links.entries().flatMap(([, { netnsCookie, dropped }]) => {
    const { name = UNKNOWN, namespace = UNKNOWN } = enrollment.byNetnsCookie(netnsCookie)?.request ?? {};
    const source = { source_workload: name, source_workload_namespace: namespace };
    const some = dropped.map((count, at) => ({
      labels: { ...source, cause: LINK_CAUSE_NAMES[at] ?? 'other' },
      value: Number(count),
    }));
    return some.filter(({ value }) => value > 0);
  });
}

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
