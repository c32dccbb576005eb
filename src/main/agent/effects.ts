import { randomInt } from 'node:crypto';
import { join } from 'node:path';
import type { AgentPlace } from '#cli/agent.ts';
import type { CniFolders } from '#cli/pod-options.ts';
import type { SpareThread } from '#main/threads/start-thread.ts';
import type { NameClient } from '#model/dns/resolve-name.ts';
import type { Clock } from '#model/effects/clock.ts';
import type { Log } from '#model/effects/log.ts';
import { guardedClock, type Mishaps } from '#model/effects/mishaps.ts';
import { ENDED, EVENT } from '#model/kernel/maps.ts';
import type { MeshState } from '#model/mesh/mesh-state.ts';
import { DNS } from '#model/settings/dns.ts';
import type { Agent } from '#node-agent/agent.ts';
import { carryHere } from '#node-agent/data-plane.ts';
import type { DnsCounters, DnsNode } from '#node-agent/dns/effects.ts';
import { createDnsResponder, type DnsResponder } from '#node-agent/dns/responder.ts';
import type { AgentEffects, Kernel } from '#node-agent/effects/agent-effects.ts';
import { requireFeatures } from '#node-agent/kernel/requirements.ts';
import type { Drain } from '#node-agent/lifecycle.ts';
import { type Datapath, type DatapathOptions, type LoadedAhead, loadAhead, openDatapath } from '#platform/bpf/datapath.ts';
import { type Missing, missingFeatures } from '#platform/bpf/features.ts';
import { schemaOf } from '#platform/bpf/pins.ts';
import { counterReader, type RingReader, readRing } from '#platform/bpf/reports.ts';
import { probeSpliceReaders } from '#platform/bpf/splice-probe.ts';
import { sharedDelays, systemClock } from '#platform/clock.ts';
import { resolveName } from '#platform/dns-upstream/names.ts';
import { followResolvConf, type Nameserver } from '#platform/dns-upstream/resolv-conf.ts';
import { createDnsUpstream, ownNamespaceSockets } from '#platform/dns-upstream/upstream.ts';
import type { ControlEndpoint } from '#platform/grpc/control-channel.ts';
import type { Io } from '#platform/io/io.ts';
import type { HandedSockets } from '#platform/linux/netns/handed-sockets.ts';
import { isOfKubelet } from '#platform/linux/netns/kubelet.ts';
import { WorkloadNamespace } from '#platform/linux/netns/workload-namespace.ts';
import { WEFT_ROOT } from '#platform/program/installation.ts';
import { systemRandom } from '#platform/random.ts';
import type { MetricsPlace } from '#platform/telemetry/metrics-server.ts';
import type { PagePlace } from '#platform/telemetry/page-server.ts';
import type { SpliceReaders } from '#protocol/api/agent.ts';
import type { CertificateCache } from '#protocol/ca/certificate-cache.ts';
import { carryEffects } from './carry-effects.ts';
import { startDataThreads } from './data-threads.ts';

/** What an agent is told. */
export type AgentProcessOptions = {
  place: AgentPlace;
  control: ControlEndpoint;
  /** Goes on with the node of an agent that runs: its listening sockets are taken over. */
  replace: boolean;
  /** Empty: those of the node's resolv.conf. */
  nameservers: readonly Nameserver[];
  /** Ranges reached without address translation; null: no translation at all. */
  noNatFor: readonly string[] | null;
  /** Where the metrics page is served; null: nowhere. */
  stats: MetricsPlace | null;
  /** Where probes ask, and where the configuration is shown; null: nowhere. */
  health: PagePlace | null;
  admin: PagePlace | null;
  /** File of revocation lists; null: nobody is revoked. */
  crlFile: string | null;
  /** Where pods are taken in before they start; null: nowhere. */
  cni: CniFolders | null;
  /** How it ends where the next agent is started beside it; null: as on a host. */
  drain: Drain | null;
  /** Unix socket where a probe of its own pod asks; null: none does. */
  readySocket: string | null;
  trustDomain: string;
  clusterDomain: string;
  /** Datagrams to workloads of other nodes go in clear. */
  datagramsClear: boolean;
  /** Only what its workloads need of the mesh is followed. */
  onDemand: boolean;
  /** Threads that carry connections; 0: the agent's own does; null: by the machine's cores. */
  threads: number | null;
  version: string;
  log: Log;
  mishaps: Mishaps;
};

/** Directory of the compiled eBPF objects, made by scripts/setup. */
const OBJECTS_DIR = join(WEFT_ROOT, 'build/bpf');

type KernelPaths = { pinDir: string; cgroup: string };

/** The node's kernel side as the agent sees it, and what this kernel lacks. */
export type OpenedKernel = { kernel: Kernel; datapath: Datapath; missing: Missing[]; spliceReaders: SpliceReaders };

const datapathOptions = ({ pinDir, cgroup }: KernelPaths): DatapathOptions & { schema: number } => ({
  ...{ pinDir, cgroupPath: cgroup, objectsDir: OBJECTS_DIR },
  schema: schemaOf(process.env.WEFT_BPF_SCHEMA),
});

/** Loads the eBPF side of a node that another agent has; null: when it is opened. Errors: those of loading. */
export function loadKernelAhead(paths: KernelPaths): LoadedAhead | null {
  return loadAhead(datapathOptions(paths));
}

/** Probes, loads and attaches the node's eBPF side. Errors: WEFT_KERNEL when a feature without which nothing works is missing. */
export function openKernel(paths: KernelPaths, log: Log, ahead: LoadedAhead | null): OpenedKernel {
  const missing = missingFeatures();
  requireFeatures(missing, log);
  const options = datapathOptions(paths);
  const datapath = openDatapath(options, ahead);
  const { all: counters, one: counter } = counterReader(datapath.maps.counters);
  const spliceReaders = probeSpliceReaders();
  return { kernel: { ...datapath, schema: options.schema, counters, counter }, datapath, missing, spliceReaders };
}

/** What the agent's effects are made of. */
export type EffectParts = {
  /** What carries bytes. */
  io: Io;
  kernel: AgentEffects['kernel'];
  datapath: Datapath;
  certificates: CertificateCache;
  /** Listening sockets that the agent before this one handed over. */
  former: HandedSockets;
  log: Log;
  mishaps: Mishaps;
  /** Threads that carry connections; 0: that is done in this one. */
  threads: number;
  /** Of those the ones that are there already. */
  spares: readonly SpareThread[];
  /** Empty: those of the node's resolv.conf. */
  nameservers: readonly Nameserver[];
};

/** The real effects of an agent: kernel, namespaces, tunnels, time and chance. */
export function agentEffects(parts: EffectParts): AgentEffects {
  const { io, kernel, datapath, certificates, former, log, mishaps, threads, spares, nameservers } = parts;
  const clock = guardedClock(sharedDelays(systemClock), mishaps);
  return {
    kernel,
    // Each opens sockets inside a namespace, which they keep when the thread is back in the node's own.
    openNamespace: (netnsPath) => new WorkloadNamespace(netnsPath, datapath.maps, { io, mishaps, former }),
    credentials: (identity) => certificates.get(identity),
    forgetCredentials: (identity) => certificates.drop(identity),
    startCarriers: (control) =>
      threads === 0
        ? [
            carryHere(
              carryEffects({ io, maps: datapath.maps, certificates, clock, log, mishaps }, { ...control, threads: 1 }),
              control,
            ),
          ]
        : startDataThreads(threads, control, { maps: datapath.maps, log, mishaps, spares }),
    resolveName: (name) => resolveName(name, nameservers),
    isOfKubelet: (client, target) =>
      isOfKubelet({ local: client.ip, localPort: client.port, remote: target.ip, remotePort: target.port }),
    clock,
    random: systemRandom,
    log,
    mishaps,
  };
}

/** `nameservers` empty: those of the node's own resolv.conf. */
export type DnsSettings = {
  nameservers: readonly Nameserver[];
  clusterDomain: string;
  clock: Clock;
  log: Log;
  mishaps: Mishaps;
  counters: DnsCounters;
  /** How many are enrolled now. */
  workloads(): number;
  /** Resolves when the whole mesh is known; false after a deadline. */
  synced(): Promise<boolean>;
  asked: DnsNode['asked'];
  answered: DnsNode['answered'];
};

/** The node's DNS responder: service names from the mesh, the rest from the node's own nameservers. */
export function openDns(settings: DnsSettings, mesh: MeshState, clientOf: (uid: string) => NameClient | null): DnsResponder {
  const { clock, log, mishaps, counters, workloads, synced, asked, answered } = settings;
  const fixed = { nameservers: settings.nameservers, timeoutMs: DNS.tryMsMax, attempts: DNS.attempts };
  // Given nameservers are fixed; the node's own file may change under a running agent, and is followed.
  const resolvConf =
    settings.nameservers.length > 0 ? { current: async () => fixed } : followResolvConf('/etc/resolv.conf', clock);
  // Questions leave from the node's own namespace, so workloads need no way to a nameserver.
  const upstream = createDnsUpstream({ resolvConf, sockets: ownNamespaceSockets, clock });
  return createDnsResponder({
    view: () => mesh,
    clientOf,
    forward: (query, context) => upstream.exchange(query, context),
    names: { clusterDomain: settings.clusterDomain, searchDomains: null, preferredNamespace: null, ipv6: true },
    // Shuffles the addresses of an answer, so that clients that take the first one spread.
    random: () => randomInt(0x1_0000_0000) / 0x1_0000_0000,
    clock,
    log,
    mishaps,
    counters,
    limits: DNS,
    workloads,
    synced,
    asked,
    answered,
  });
}

/** Hands what the programs report to the agent: refusals, and ends of connections, `most` of each at a time. */
export function readKernel(
  { events, ended }: Datapath['maps'],
  agent: Pick<Agent, 'kernelEvent' | 'traffic'>,
  mishaps: Mishaps,
): RingReader {
  const refusals = readRing(events.fd, EVENT, (event) => agent.kernelEvent(event), mishaps);
  const ends = readRing(ended.fd, ENDED, (one) => agent.traffic.ended(one), mishaps);
  return {
    drain: (most) => refusals.drain(most) + ends.drain(most),
    close: () => {
      refusals.close();
      ends.close();
    },
  };
}
