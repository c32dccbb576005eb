import { randomBytes } from 'node:crypto';
import type { Log } from '#model/effects/log.ts';
import type { AgentEffects } from '#node-agent/effects/agent-effects.ts';
import type { Datapath } from '#platform/bpf/datapath.ts';
import { systemClock } from '#platform/clock.ts';
import { createClientPool } from '#platform/hbone/client-pool.ts';
import { createHboneServer } from '#platform/hbone/server.ts';
import { WorkloadNamespace } from '#platform/linux/netns/workload-namespace.ts';
import { systemRandom } from '#platform/random.ts';
import { relay } from '#platform/relay/relay.ts';
import type { CertificateCache } from '#protocol/ca/certificate-cache.ts';

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
    relay: (a, b, signal) => relay(a, b, { signal }),
    randomBytes,
    clock: systemClock,
    random: systemRandom,
    log,
  };
}
