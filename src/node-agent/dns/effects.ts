import type { DnsView, NameClient, NameOptions } from '#model/dns/resolve-name.ts';
import type { Clock, Random } from '#model/effects/clock.ts';
import type { Log } from '#model/effects/log.ts';
import type { Mishaps } from '#model/effects/mishaps.ts';
import type { ServiceKey } from '#model/mesh/service.ts';
import type { DNS } from '#model/settings/dns.ts';
import type { AnsweredAddress } from '#protocol/dns/answered-addresses.ts';

/** How a query came, and is to be forwarded. */
export type DnsTransport = 'udp' | 'tcp';

/** `workload`: its uid. `queryType`: `A`, …; `OTHER` for types without a name, so the label stays bounded. */
export type DnsLabels = { workload: string; queryType: string; transport: DnsTransport };

/** Every cause for which a query or connection does not get what it asked for. */
export type DnsFailure =
  | 'malformed'
  | 'not-implemented'
  | 'unknown-workload'
  | 'unknown-mesh'
  | 'too-many-queries'
  | 'too-many-connections'
  | 'upstream-failed'
  /** Aliases that lead to one another. */
  | 'alias-circle';

/** What `istio_dns_*` metrics are made of. */
export type DnsCounters = {
  request(labels: DnsLabels): void;
  upstreamRequest(labels: DnsLabels): void;
  upstreamDuration(labels: DnsLabels, durationMs: number): void;
  upstreamFailure(labels: DnsLabels): void;
  /** Every query or connection that did not get what it asked for, by cause. */
  failed(why: DnsFailure, transport: DnsTransport): void;
};

/** Bounds of what runs at once, and for how long: rows of the settings table. */
export type DnsLimits = Pick<
  typeof DNS,
  'forwardsMax' | 'forwardsPerWorkloadMax' | 'connectionsMax' | 'connectionsPerWorkloadMax' | 'forwardMs'
>;

/** What the responder knows and reaches only through its caller. */
export type DnsEffects = {
  /** The mesh as it is now. */
  view(): DnsView;
  /** Resolves when the whole mesh is known; false after a deadline. Before that nobody can say that a name does not exist. */
  synced(): Promise<boolean>;
  /**
   * Of a mesh that is followed in parts: resolves when it is known of each of these whether it is there; false: nobody can say, or not in
   * time. Null: the whole mesh is followed.
   */
  asked: ((workload: string, services: readonly ServiceKey[]) => Promise<boolean>) | null;
  /** The workload with this uid; null when it is not (or no longer) known. */
  clientOf(workload: string): NameClient | null;
  /** The upstream's reply, carrying the query's own id; from the network namespace of the workload. Rejects when none came. */
  forward(query: Buffer, context: { workload: string; transport: DnsTransport; signal: AbortSignal }): Promise<Buffer>;
  /** What nameservers outside the mesh have answered a workload, before it hears of it. */
  answered(workload: string, name: string, addresses: readonly AnsweredAddress[]): void;
  /** How many workloads the node has now; what they share is divided by it. */
  workloads(): number;
  names: NameOptions;
  random: Random;
  clock: Clock;
  log: Log;
  mishaps: Mishaps;
  counters: DnsCounters;
  limits: DnsLimits;
};

/** What names are answered by besides the mesh: counters, how many workloads share, whether the mesh is known, and who hears of answers. */
export type DnsNode = Pick<DnsEffects, 'counters' | 'workloads' | 'synced' | 'asked' | 'answered'>;
