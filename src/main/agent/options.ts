import type { AgentPlace } from '#cli/agent.ts';
import type { Log } from '#model/effects/log.ts';
import type { Nameserver } from '#platform/dns-upstream/resolv-conf.ts';
import type { ControlEndpoint } from '#platform/grpc/control-channel.ts';
import type { MetricsPlace } from '#platform/telemetry/metrics-server.ts';

/** What an agent is told. */
export type AgentProcessOptions = {
  place: AgentPlace;
  control: ControlEndpoint;
  /** Empty: those of the node's resolv.conf. */
  nameservers: readonly Nameserver[];
  /** Ranges reached without address translation; null: no translation at all. */
  noNatFor: readonly string[] | null;
  /** Where the metrics page is served; null: nowhere. */
  stats: MetricsPlace | null;
  trustDomain: string;
  clusterDomain: string;
  version: string;
  log: Log;
};
