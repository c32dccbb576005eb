import { randomInt } from 'node:crypto';
import type { Clock } from '#model/effects/clock.ts';
import type { Log } from '#model/effects/log.ts';
import type { MeshState } from '#model/mesh/mesh-state.ts';
import { DNS } from '#model/settings/dns.ts';
import type { DnsCounters } from '#node-agent/dns/effects.ts';
import { createDnsResponder, type DnsResponder } from '#node-agent/dns/responder.ts';
import { followResolvConf, type Nameserver } from '#platform/dns-upstream/resolv-conf.ts';
import { createDnsUpstream, ownNamespaceSockets } from '#platform/dns-upstream/upstream.ts';

/** `nameservers` empty: those of the node's own resolv.conf. */
export type DnsSettings = {
  nameservers: readonly Nameserver[];
  clusterDomain: string;
  clock: Clock;
  log: Log;
  counters: DnsCounters;
};

/** The node's DNS responder: service names from the mesh, the rest from the node's own nameservers. */
export function openDns(settings: DnsSettings, mesh: MeshState, namespaceOf: (uid: string) => string | null): DnsResponder {
  const { clock, log, counters } = settings;
  const fixed = { nameservers: settings.nameservers, timeoutMs: DNS.tryMsMax, attempts: DNS.attempts };
  const resolvConf =
    settings.nameservers.length > 0 ? { current: async () => fixed } : followResolvConf('/etc/resolv.conf', clock);
  const upstream = createDnsUpstream({ resolvConf, sockets: ownNamespaceSockets, clock });
  return createDnsResponder({
    view: () => mesh,
    clientOf: (workload) => {
      const namespace = namespaceOf(workload);
      return namespace === null ? null : { namespace };
    },
    forward: (query, context) => upstream.exchange(query, context),
    names: { clusterDomain: settings.clusterDomain, searchDomains: null, preferredNamespace: null, ipv6: true },
    random: () => randomInt(0x1_0000_0000) / 0x1_0000_0000,
    clock,
    log,
    counters,
    limits: DNS,
  });
}
