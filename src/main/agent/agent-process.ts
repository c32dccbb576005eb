import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { guardedClock } from '#model/effects/mishaps.ts';
import { messageOf } from '#model/error.ts';
import { AGENT } from '#model/settings/agents.ts';
import { COMMAND } from '#model/settings/host.ts';
import { Agent } from '#node-agent/agent.ts';
import { subscribeMesh } from '#node-agent/follow-mesh.ts';
import { degradations } from '#node-agent/kernel/requirements.ts';
import { type RunningAgent, runAgent } from '#node-agent/lifecycle.ts';
import { type NodePaths, nodePaths } from '#node-agent/node-places.ts';
import { agentStatus, type TokenTerm, tokenComplaint } from '#node-agent/status/agent-status.ts';
import { answerLocalApi } from '#node-agent/status/local-api.ts';
import { askToHandOver, formerAgent, openedNode, whenCrowded } from '#node-agent/succession.ts';
import { ensureBpffs } from '#platform/bpf/bpffs.ts';
import type { RingReader } from '#platform/bpf/reports.ts';
import { systemClock } from '#platform/clock.ts';
import { type FormerAgent, joinFormers } from '#platform/files/former-agents.ts';
import { claimDirectory } from '#platform/files/marked-directory.ts';
import { type HeldNode, holdNode } from '#platform/files/node-register.ts';
import type { DiscoveryClient } from '#platform/grpc/discovery-client.ts';
import { chooseIo } from '#platform/io/choice/choose.ts';
import { findCgroup2 } from '#platform/linux/cgroup/cgroup.ts';
import { hostRanges, requireFreeRanges } from '#platform/linux/net/host-ranges.ts';
import { HandedSockets } from '#platform/linux/netns/handed-sockets.ts';
import { givingFreedBack } from '#platform/linux/process/garbage.ts';
import { descriptorsMax } from '#platform/linux/process/processes.ts';
import { agentClient } from '#platform/local-api/clients.ts';
import { answers, requireFreeSocket, serveLocalSocket, socketFreed } from '#platform/local-api/serve-socket.ts';
import { processLogLevel } from '#platform/telemetry/log.ts';
import { logComplaint } from '#platform/telemetry/log-turns.ts';
import type { MetricsServer } from '#platform/telemetry/metrics-server.ts';
import { readProcessMetrics } from '#platform/telemetry/process-metrics.ts';
import type { CertificateCache } from '#protocol/ca/certificate-cache.ts';
import { type AgentProcessOptions, agentEffects, type OpenedKernel, openDns, openKernel, readKernel } from './effects.ts';
import { followToken } from './following.ts';
import { holdingOf } from './holding.ts';
import type { Hosted, Hosting } from './hosting.ts';
import { servePagesOf, serveReadiness } from './pages.ts';
import { hostingOf } from './pods.ts';
import { becomeReady, becomeReadyMeanwhile, closeReadiness, type Readiness } from './readiness.ts';
import { cleanupNode } from './removal.ts';
import { followRevocations } from './revocation.ts';

/** Everything a running agent consists of. */
type Parts = OpenedKernel & {
  options: AgentProcessOptions;
  paths: NodePaths;
  agent: Agent;
  certificates: CertificateCache;
  hosting: Hosting;
  hosted: Hosted;
  discovery: DiscoveryClient;
  /** How long the node's token is good for; null where nobody can tell. */
  tokenTerm: () => TokenTerm | null;
  metrics: MetricsServer;
  /** Ends what still asks the control plane for something. */
  closeClients(): void;
};

/** The agent of one node: the only place where its platform meets its logic. Errors: those of the kernel, the sandbox and the run directory. */
export async function startAgent(options: AgentProcessOptions): Promise<RunningAgent> {
  const wanted = await holdingOf(options.place);
  const paths = await nodePaths(options.place, findCgroup2);
  const client = agentClient(paths.socket);
  const ranges = await hostRanges();
  // Whoever is to go on with a node does first what takes time: from the moment it asks, new connections wait for it.
  const there = await formerAgent(client, options.replace);
  const ahead = there === null ? null : await becomeReady(options, paths, there);
  const handover = await askToHandOver(client, options.replace);
  const former = new HandedSockets(handover);
  const held = holdNode(wanted);
  let ready = ahead;
  try {
    requireFreeRanges(wanted, ranges);
    if (handover === null) await requireFreeSocket(paths.socket); // before anything is touched that a running agent uses
    ready ??= await becomeReadyMeanwhile(options, paths);
    return await startHeld(options, { paths, held, former, ready, takesOver: handover !== null });
  } catch (error) {
    if (ready !== null) closeReadiness(ready);
    former.close();
    held.release();
    throw error;
  }
}

/** The node is this process's; `ready`: what it has of an agent already; `takesOver`: another one has just left the node to it. */
type Start = { paths: NodePaths; held: HeldNode; former: HandedSockets; ready: Readiness; takesOver: boolean };

async function startHeld(options: AgentProcessOptions, start: Start): Promise<RunningAgent> {
  const { paths, held, former, ready } = start;
  const { parts, events, resumes } = await assemble(options, start);
  const { agent, hosted, hosting, discovery, datapath, kernel } = parts;
  const { local } = hosted;
  const closeReady = await serveReadiness(options.readySocket, { agent, local });
  const running = await runAgent({
    local,
    resume: async () => resumes && (await hosting.resume(agent)),
    restore: async () => {
      if (resumes) await hosting.prepare();
      await local.restore();
      former.close(); // who has not come by now listens on sockets of its own
    },
    discovery: { start: () => openMesh(ready, parts, events), stop: () => discovery.stop() },
    takeOver: async () => {
      datapath.activate();
      agent.succession.takeOver();
      await hosting.releaseAll();
    },
    // Read on a timer (AGENT.eventsPeriodMs), as the ring wakes nobody.
    drainEvents: () => {
      agent.watchArrivals(); // first: what is to be closed does not wait for what is to be told
      events.drain(AGENT.eventsPerTurnMax);
    },
    handOver: (taken) => {
      const sockets = agent.succession.handOver(taken);
      hosted.close();
      parts.metrics.close();
      held.release();
      return { pid: process.pid, sockets };
    },
    isServed: () => existsSync(paths.socket),
    isAnswered: () => answers(paths.socket),
    drain: options.drain,
    carriedToTheEnd: (deadlineMs) => carriedBesideOthers(options, paths.nodeDir, agent.succession.carriedToTheEnd(deadlineMs)),
    serve: async ({ cleanup, isLeaving, handOver }) => {
      await socketFreed(paths.socket, COMMAND.stopMs); // a former agent closes it a moment after it has handed over
      return serveLocalSocket(paths.socket, (method, path, body) =>
        answerLocalApi(method, path, body, {
          start: (wanted) => local.start(wanted),
          stop: (key, graceMs) => local.stop(key, graceMs ?? undefined),
          drain: (key, draining) => local.drain(key, draining),
          status: () => statusOf(parts),
          isLeaving,
          handOver,
          cleanup,
          logLevel: processLogLevel,
        }),
      );
    },
    // Users before what they use: the agent counts in maps that the data path closes.
    closers: [
      closeReady,
      givingFreedBack({ begun: discovery.synced, everyMs: AGENT.trimMs, collectsAfterMs: AGENT.collectMs }),
      () => parts.metrics.close(),
      () => agent.stop(),
      () => parts.closeClients(),
      () => events.close(),
      () => datapath.close(),
    ],
    cleanNode: async () => {
      await cleanupNode(options.place, options.log);
      held.forget();
    },
    clock: guardedClock(systemClock, options.mishaps),
  });
  options.log.info({ node: options.place.node, socket: paths.socket, adopted: kernel.adopted }, 'agent is running');
  return { ...running, stop: () => running.stop().finally(() => held.release()) };
}

/** From here on the agent is told what the control plane says, beginning with what it has said. */
function openMesh({ discovery, mesh }: Readiness, { agent, hosted }: Parts, events: RingReader): void {
  discovery.start();
  mesh.open(
    subscribeMesh(agent, {
      // Refusals are explained by the policies that caused them, so they are read before a change; never all of them, or
      // whoever is refused often enough would hold the change up.
      beforeChange: () => void (agent.succession.handedOver || events.drain(AGENT.eventsPerTurnMax)),
      connected: () => void (agent.succession.handedOver || hosted.local.refreshRegistration()),
    }),
  );
}

/** Makes the parts in the order in which each needs the one before; nothing serves yet. */
async function assemble(options: AgentProcessOptions, { paths, former, ready, takesOver }: Start) {
  const { place, log, mishaps, trustDomain, clusterDomain, nameservers } = options;
  const { certificates, ca, discovery, threads, spares } = ready;
  claimDirectory(paths.nodeDir, { kind: 'node', node: place.node });
  const hosting = hostingOf(options, paths);
  const { opened, resumes } = await openedNode({ takesOver, isNew: !existsSync(paths.cgroup) }, hosting, () => {
    // A mount that is ours is marked, so that leaving the mesh unmounts no bpf file system of somebody else.
    // Programs are attached to the node's cgroup, so it is there before them.
    mkdirSync(paths.cgroup, { recursive: true });
    if (ensureBpffs(place.bpffs)) writeFileSync(paths.mountedMark, place.bpffs);
    return openKernel(paths, log, ready.ahead);
  });
  // A program was missing, so nobody judged: nothing runs until all of them are there and every workload is enrolled.
  if (!opened.datapath.guarded) await hosting.holdAll();
  const dns = { nameservers, clusterDomain, clock: guardedClock(systemClock, mishaps), log, mishaps };
  const io = chooseIo(process.env.WEFT_IO, guardedClock(systemClock, mishaps), mishaps);
  const agent = new Agent(agentEffects({ io, ...opened, certificates, former, log, mishaps, threads, spares, nameservers }), {
    node: place.node,
    ...{ trustDomain, datagramsClear: options.datagramsClear, onDemand: options.onDemand },
    descriptorsMax: descriptorsMax(),
    dns: (mesh, clientOf, node) => openDns({ ...dns, ...node }, mesh, clientOf),
  });
  agent.demand?.connect({ change: (names) => discovery.change(names), isConnected: () => discovery.status().connected });
  certificates.subscribe((credentials) => agent.carriers.renewed(credentials));
  certificates.subscribeLapse((identity) => agent.carriers.lapsed(identity));
  const hosted = await hosting.open(agent);
  const events = readKernel(opened.datapath.maps, agent, mishaps);
  // Calls that are under way would keep the process alive after everything else has ended.
  const token = await followToken(options.control);
  const unfollowCrl = followRevocations(options.crlFile, agent.carriers, { clock: systemClock, log });
  const closeClients = (): void => {
    unfollowCrl();
    token.close();
    hosted.close();
    certificates.close();
    ca.close();
  };
  readProcessMetrics(agent.meters, {
    component: 'ztunnel',
    version: options.version,
    certificates: () => certificates.snapshot(),
    discovery: () => discovery.status(),
    mishaps,
    clock: systemClock,
  });
  const shown = {
    agent,
    local: hosted.local,
    certificates,
    maps: opened.kernel.maps,
    version: options.version,
    clock: systemClock,
  };
  const metrics = await servePagesOf(shown, options);
  const parts: Parts = {
    ...{ ...opened, options, paths, agent, certificates, hosting, hosted, discovery },
    ...{ tokenTerm: token.term, metrics, closeClients },
  };
  return { parts, events, resumes };
}

/** What `weft status` shows of this node, as of now. */
function statusOf({
  options,
  paths,
  agent,
  hosted,
  kernel,
  missing,
  certificates,
  discovery,
  tokenTerm,
  metrics,
  spliceReaders,
}: Parts) {
  return agentStatus({
    node: options.place.node,
    version: options.version,
    pid: process.pid,
    agent,
    refused: hosted.local.refusals(),
    isDraining: (uid) => hosted.local.isDraining(uid),
    outside: hosted.local.outside(),
    certificates: certificates.snapshot(),
    controlPlane: { address: options.control.address, ...discovery.status() },
    degraded: [
      ...degradations(hosted.degraded(), missing),
      ...tokenComplaint(options.place.node, tokenTerm(), systemClock.nowMs()),
      ...metrics.problems,
      ...logComplaint(),
    ],
    datagramsClear: options.datagramsClear,
    metrics: metrics.address,
    maps: kernel.maps,
    pinDir: paths.pinDir,
    spliceReaders,
    counters: kernel.counters(),
  });
}

/**
 * Resolves when what an agent still carries is `carried`, or too many of its node have come after it since: one of those that are started beside
 * the one that runs. `directory`: of the node, where they know of one another.
 */
async function carriedBesideOthers(
  { drain, log }: Pick<AgentProcessOptions, 'drain' | 'log'>,
  directory: string,
  carried: Promise<void>,
): Promise<void> {
  if (drain === null) return carried;
  let own: FormerAgent;
  try {
    own = joinFormers(directory);
  } catch (error) {
    log.warn({ error: messageOf(error) }, 'later agents of this node are not counted: what is carried goes on to its end');
    return carried;
  }
  await Promise.race([carried, whenCrowded({ clock: systemClock, log }, own.newer)]);
  own.leave();
}
