import { existsSync, mkdirSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { AgentPlace } from '#cli/agent.ts';
import type { Log } from '#model/effects/log.ts';
import { AGENT } from '#model/settings/agents.ts';
import { Agent } from '#node-agent/agent.ts';
import type { LocalWorkloads } from '#node-agent/enrollment/local-run/local-workloads.ts';
import { agentStatus } from '#node-agent/status/agent-status.ts';
import { answerLocalApi } from '#node-agent/status/local-api.ts';
import { ensureBpffs, isBpffs, releaseBpffs } from '#platform/bpf/bpffs.ts';
import { removePins } from '#platform/bpf/datapath.ts';
import { readEvents } from '#platform/bpf/reports.ts';
import { systemClock } from '#platform/clock.ts';
import { CaClient } from '#platform/grpc/ca-client.ts';
import type { DiscoveryClient } from '#platform/grpc/discovery-client.ts';
import { requireFreeSocket, serveLocalSocket } from '#platform/local-api/serve-socket.ts';
import { systemRandom } from '#platform/random.ts';
import { type MetricsServer, serveMetrics } from '#platform/telemetry/metrics-server.ts';
import { readProcessMetrics } from '#platform/telemetry/process-metrics.ts';
import { CertificateCache } from '#protocol/ca/certificate-cache.ts';
import { openDns } from './dns.ts';
import { agentEffects } from './effects.ts';
import { followMesh } from './follow-mesh.ts';
import { type OpenedKernel, openKernel } from './kernel.ts';
import { openLocalWorkloads } from './local-workloads.ts';
import type { AgentProcessOptions } from './options.ts';
import { type AgentPaths, agentPaths } from './paths.ts';
import { openSandboxes } from './sandboxes.ts';

/** File in the run directory that says: the bpf file system was mounted by an agent, so the last one unmounts it. */
const MOUNTED_MARK = 'bpffs-mounted';

/** An agent that is serving. */
export type RunningAgent = {
  /** Stops serving; what the kernel carries goes on, and a new agent takes over. */
  stop(): Promise<void>;
  /** Resolves when the agent was told over its local API to clean up and has done so. */
  cleaned: Promise<void>;
};

/** Everything a running agent consists of. */
type Parts = OpenedKernel & {
  options: AgentProcessOptions;
  paths: AgentPaths;
  agent: Agent;
  certificates: CertificateCache;
  local: LocalWorkloads;
  discovery: DiscoveryClient;
  degraded: readonly string[];
  metrics: MetricsServer;
};

/** The agent of one node: the only place where its platform meets its logic. Errors: those of the kernel, the sandbox and the run directory. */
export async function startAgent(options: AgentProcessOptions): Promise<RunningAgent> {
  const { parts, events } = await assemble(options);
  const { agent, local, discovery } = parts;
  await local.restore();
  const stopTimers = [local.watch(), systemClock.every(AGENT.eventsPeriodMs, () => events.drain())];
  discovery.start();
  const { promise: cleaned, resolve: reportCleaned } = Promise.withResolvers<void>();
  const stop = async (): Promise<void> => {
    for (const stopTimer of stopTimers) stopTimer();
    discovery.stop();
    await closeSocket();
    parts.metrics.close();
    agent.stop();
    parts.certificates.close();
    events.close();
    parts.datapath.close();
  };
  const cleanup = async (): Promise<void> => {
    await local.stopAll();
    const finish = (): Promise<void> => stop().then(() => cleanupNode(options.place, options.log));
    systemClock.after(AGENT.lastAnswerMs, () => void finish().then(reportCleaned));
  };
  const closeSocket = await serveLocalSocket(parts.paths.socket, (method, path, body) =>
    answerLocalApi(method, path, body, {
      start: (wanted) => local.start(wanted),
      stop: (key) => local.stop(key),
      status: () => statusOf(parts),
      cleanup,
    }),
  );
  const { kernel, paths } = parts;
  options.log.info({ node: options.place.node, socket: paths.socket, adopted: kernel.adopted }, 'agent is running');
  return { stop, cleaned };
}

async function assemble(options: AgentProcessOptions) {
  const { place, log, trustDomain, clusterDomain, nameservers } = options;
  const paths = await agentPaths(place);
  await requireFreeSocket(paths.socket);
  mkdirSync(paths.nodeDir, { recursive: true, mode: 0o700 });
  const sandboxes = openSandboxes(place, paths, clusterDomain, options.noNatFor, log);
  const { degraded } = await sandboxes.prepareNode();
  mkdirSync(paths.cgroup, { recursive: true });
  if (ensureBpffs(place.bpffs)) writeFileSync(join(place.runDir, MOUNTED_MARK), place.bpffs);
  const opened = openKernel(paths, log);
  const ca = new CaClient(options.control, { impersonate: true });
  const certificates = new CertificateCache({ fetch: ca.fetch, clock: systemClock, random: systemRandom, log });
  const dns = { nameservers, clusterDomain, clock: systemClock, log };
  const agent = new Agent(agentEffects({ ...opened, certificates, log }), {
    node: place.node,
    trustDomain,
    dns: (mesh, namespaceOf, counters) => openDns({ ...dns, counters }, mesh, namespaceOf),
  });
  const local = openLocalWorkloads(agent, sandboxes, paths.workloads, options);
  const events = readEvents(opened.datapath.maps.events.fd, (event) => agent.kernelEvent(event));
  const discovery = await followMesh(agent, options, {
    // Refusals are explained by the policies that caused them, so they are read before a change.
    beforeChange: () => events.drain(),
    connected: () => local.refreshRegistration(),
  });
  readProcessMetrics(agent.meters, {
    component: 'ztunnel',
    version: options.version,
    certificates: () => certificates.snapshot(),
    discovery: () => discovery.status(),
    clock: systemClock,
  });
  const metrics = await serveMetrics(agent.meters, options.stats, log);
  const parts: Parts = { ...opened, options, paths, agent, certificates, local, discovery, degraded, metrics };
  return { parts, events };
}

function statusOf({ options, paths, agent, kernel, missing, certificates, discovery, degraded, metrics }: Parts) {
  const { connected, syncedAtMs, error } = discovery.status();
  return agentStatus({
    node: options.place.node,
    version: options.version,
    pid: process.pid,
    agent,
    certificates: certificates.snapshot().map(({ notAfterMs, ...one }) => ({ ...one, notAfter: timeText(notAfterMs) ?? '' })),
    controlPlane: { address: options.control.address, connected, syncedAt: timeText(syncedAtMs), error },
    degraded: [...degraded, ...missing.map(({ feature, loss }) => `${feature} is missing: ${loss}`), ...metrics.problems],
    metrics: metrics.address,
    kernel: {
      pinDir: paths.pinDir,
      liveDirectFlows: kernel.maps.flows.entries().length,
      verdicts: kernel.maps.verdicts.entries().length,
      counters: kernel.counters(),
    },
  });
}

function timeText(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString();
}

/** Removes every trace of a node's agent, running or dead: programs, pins, namespaces, cgroups, files. */
export async function cleanupNode(place: AgentPlace, log: Log): Promise<void> {
  const paths = await agentPaths(place);
  await openSandboxes(place, paths, 'cluster.local', null, log).removeNode();
  removePins(paths.pinDir);
  removeIfEmpty(dirname(paths.pinDir));
  rmSync(paths.nodeDir, { recursive: true, force: true });
  const mark = join(place.runDir, MOUNTED_MARK);
  if (!existsSync(mark)) return;
  releaseBpffs(place.bpffs);
  if (!isBpffs(place.bpffs)) rmSync(mark);
}

function removeIfEmpty(directory: string): void {
  try {
    rmdirSync(directory);
  } catch {
    // another node of this machine has pins there, or it never was
  }
}
