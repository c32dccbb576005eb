import { randomBytes } from 'node:crypto';
import type { Log } from '#model/effects/log.ts';
import { SCHEMA } from '#model/kernel/abi.ts';
import type { AgentEffects, Kernel } from '#node-agent/effects/agent-effects.ts';
import { requireFeatures } from '#node-agent/kernel/requirements.ts';
import { type Datapath, openDatapath } from '#platform/bpf/datapath.ts';
import { type Missing, missingFeatures } from '#platform/bpf/features.ts';
import { readCounters } from '#platform/bpf/reports.ts';
import { systemClock } from '#platform/clock.ts';
import { createClientPool } from '#platform/hbone/client-pool.ts';
import { createHboneServer } from '#platform/hbone/server.ts';
import { WorkloadNamespace } from '#platform/linux/netns/workload-namespace.ts';
import { systemRandom } from '#platform/random.ts';
import { relay } from '#platform/relay/relay.ts';
import type { CertificateCache } from '#protocol/ca/certificate-cache.ts';

/** Directory of the compiled eBPF objects, made by scripts/setup. */
const OBJECTS_DIR = new URL('../../../build/bpf', import.meta.url).pathname;

/** The node's kernel side as the agent sees it, and what this kernel lacks. */
export type OpenedKernel = { kernel: Kernel; datapath: Datapath; missing: Missing[] };

/** Probes, loads and attaches the node's eBPF side. Errors: WEFT_KERNEL when a feature without which nothing works is missing. */
export function openKernel(paths: { pinDir: string; cgroup: string }, log: Log): OpenedKernel {
  const missing = missingFeatures();
  requireFeatures(missing, log);
  const datapath = openDatapath({ pinDir: paths.pinDir, cgroupPath: paths.cgroup, objectsDir: OBJECTS_DIR });
  const counters = (): Record<string, number> => readCounters(datapath.maps.counters);
  return { kernel: { ...datapath, schema: SCHEMA, counters }, datapath, missing };
}

/** What the agent's effects are made of. */
export type EffectParts = { kernel: AgentEffects['kernel']; datapath: Datapath; certificates: CertificateCache; log: Log };

/** The real effects of an agent: kernel, namespaces, tunnels, time and chance. */
export function agentEffects({ kernel, datapath, certificates, log }: EffectParts): AgentEffects {
  const credentials: AgentEffects['credentials'] = (identity) => certificates.get(identity);
  return {
    kernel,
    openNamespace: (netnsPath) => new WorkloadNamespace(netnsPath, datapath.maps),
    credentials,
    forgetCredentials: (identity) => certificates.drop(identity),
    createPool: (dial) => createClientPool({ dial, credentials, clock: systemClock, random: systemRandom, log }),
    createHboneServer: (server) => createHboneServer({ ...server, clock: systemClock, log }),
    relay,
    randomBytes,
    clock: systemClock,
    random: systemRandom,
    log,
  };
}
