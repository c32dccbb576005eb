import { availableParallelism } from 'node:os';
import type { SpareThread } from '#main/threads/start-thread.ts';
import { within } from '#model/effects/within.ts';
import { WeftError } from '#model/error.ts';
import { AGENT, dataThreads } from '#model/settings/agents.ts';
import { workloadStore } from '#node-agent/enrollment/local-run/workload-store.ts';
import type { NodePaths } from '#node-agent/node-places.ts';
import { type Former, READY_WITHIN_MS } from '#node-agent/succession.ts';
import type { LoadedAhead } from '#platform/bpf/datapath.ts';
import { systemClock } from '#platform/clock.ts';
import { CaClient } from '#platform/grpc/control-clients.ts';
import { systemRandom } from '#platform/random.ts';
import { CertificateCache } from '#protocol/ca/certificate-cache.ts';
import { beginDataThreads, spareDataThreads } from './data-threads.ts';
import { type AgentProcessOptions, loadKernelAhead } from './effects.ts';
import { type Following, followMesh } from './following.ts';
import { stateFile } from './local-run.ts';

/** What an agent has before it has its node: nothing of it touches what another agent uses. */
export type Readiness = Following & {
  certificates: CertificateCache;
  ca: CaClient;
  /** How many threads carry, and those of them that are there already. */
  threads: number;
  spares: readonly SpareThread[];
  /** Null: nothing of the kernel's side is loaded yet. */
  ahead: LoadedAhead | null;
};

/** Makes what follows the mesh. Errors: those of the node's token. */
async function beginReadiness(options: AgentProcessOptions): Promise<Readiness> {
  const following = await followMesh(options);
  const ca = new CaClient(options.control, { impersonate: true });
  const certificates = new CertificateCache({ fetch: ca.fetch, clock: systemClock, random: systemRandom, log: options.log });
  const threads = dataThreads(options.threads, process.env.WEFT_IO, availableParallelism());
  return { ...following, ca, certificates, threads, spares: [], ahead: null };
}

/**
 * For who is to go on with the node of another agent: returns when everything is there that takes time, so that new connections wait
 * for next to nothing, or when that one cannot be waited for any longer. Errors: WEFT_AGENT_NOT_READY when the mesh does not become
 * known while it goes on serving, those of the node's token and of loading.
 */
export async function becomeReady(options: AgentProcessOptions, paths: NodePaths, former: Former): Promise<Readiness> {
  const inTime = <Done>(done: Promise<Done>): Promise<Done | null> => within(systemClock, READY_WITHIN_MS[former], done);
  const ready = await beginReadiness(options);
  ready.discovery.start();
  try {
    // What is asked on demand is asked for by an agent that has its node.
    const known = options.onDemand ? true : inTime(ready.discovery.synced.then(() => true));
    const spares = inTime(spareDataThreads(ready.threads));
    spares.catch(() => {}); // told below, if it comes to that
    const ahead = loadKernelAhead(paths);
    await inTime(warm(ready.certificates, options, paths));
    if ((await known) === null && former === 'serving') throw notReady(ready);
    return { ...ready, spares: (await spares) ?? [], ahead };
  } catch (error) {
    closeReadiness(ready);
    throw error;
  }
}

/**
 * For who has its node already: returns at once, while threads load their program, the mesh becomes known and certificates come. Errors:
 * those of the node's token.
 */
export async function becomeReadyMeanwhile(options: AgentProcessOptions, paths: NodePaths): Promise<Readiness> {
  const ready = await beginReadiness(options);
  ready.discovery.start();
  warm(ready.certificates, options, paths).catch(() => {}); // whoever restores the workloads reads them again, and tells
  return { ...ready, spares: beginDataThreads(ready.threads) };
}

/** Ends what was begun; what is loaded ends with the process. */
export function closeReadiness({ discovery, certificates, ca }: Readiness): void {
  discovery.stop();
  certificates.close();
  ca.close();
}

/** Certificates of who runs on the node now. One that cannot be had keeps nobody: its cache tries again, and tells. */
async function warm(certificates: CertificateCache, { trustDomain }: AgentProcessOptions, paths: NodePaths): Promise<void> {
  const workloads = await workloadStore(stateFile(paths.workloads)).load();
  const asked = workloads.map(({ namespace, serviceAccount }) => certificates.get({ trustDomain, namespace, serviceAccount }));
  await Promise.allSettled(asked);
}

function notReady({ discovery }: Readiness): WeftError {
  const { error } = discovery.status();
  const text = `the mesh did not become known within ${AGENT.readyMs / 1_000} s${error === null ? '' : `: ${error}`}`;
  return new WeftError('WEFT_AGENT_NOT_READY', text, {
    remedy: 'the agent that is there goes on; try again when weft status says that its control plane answers',
  });
}
