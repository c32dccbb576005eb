import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { decodeJwt, type JWTPayload } from 'jose';
import type { Cancel } from '#model/effects/clock.ts';
import { guardedClock, toLastResort } from '#model/effects/mishaps.ts';
import { WeftError } from '#model/error.ts';
import { AGENT, dataThreads } from '#model/settings/agents.ts';
import { COMMAND } from '#model/settings/host.ts';
import { Agent } from '#node-agent/agent.ts';
import { discoveryNodeOf, type MeshEvents, subscribeMesh } from '#node-agent/follow-mesh.ts';
import { degradations } from '#node-agent/kernel/requirements.ts';
import { type RunningAgent, runAgent } from '#node-agent/lifecycle.ts';
import { type NodePaths, nodePaths } from '#node-agent/node-places.ts';
import { agentStatus, type TokenTerm, tokenComplaint } from '#node-agent/status/agent-status.ts';
import { answerLocalApi } from '#node-agent/status/local-api.ts';
import { askToHandOver } from '#node-agent/succession.ts';
import { ensureBpffs } from '#platform/bpf/bpffs.ts';
import { systemClock } from '#platform/clock.ts';
import { claimDirectory } from '#platform/files/marked-directory.ts';
import { type HeldNode, holdNode } from '#platform/files/node-register.ts';
import { CaClient } from '#platform/grpc/control-clients.ts';
import { DiscoveryClient } from '#platform/grpc/discovery-client.ts';
import { chooseIo } from '#platform/io/choice/choose.ts';
import { findCgroup2 } from '#platform/linux/cgroup/cgroup.ts';
import { hostRanges, requireFreeRanges } from '#platform/linux/net/host-ranges.ts';
import { HandedSockets } from '#platform/linux/netns/handed-sockets.ts';
import { descriptorsMax } from '#platform/linux/process/processes.ts';
import { agentClient } from '#platform/local-api/clients.ts';
import { requireFreeSocket, serveLocalSocket, socketFreed } from '#platform/local-api/serve-socket.ts';
import { systemRandom } from '#platform/random.ts';
import { processLogLevel } from '#platform/telemetry/log.ts';
import type { MetricsServer } from '#platform/telemetry/metrics-server.ts';
import { readProcessMetrics } from '#platform/telemetry/process-metrics.ts';
import type { Handover } from '#protocol/api/agent.ts';
import { CertificateCache } from '#protocol/ca/certificate-cache.ts';
import { type AgentProcessOptions, agentEffects, type OpenedKernel, openDns, openKernel, readKernel } from './effects.ts';
import { holdingOf } from './holding.ts';
import type { Hosted, Hosting } from './hosting.ts';
import { servePagesOf } from './pages.ts';
import { hostingOf } from './pods.ts';
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
  const former = new HandedSockets(await handedOver(options));
  const held = holdNode(wanted);
  try {
    requireFreeRanges(wanted, await hostRanges());
    return await startHeld(options, held, former);
  } catch (error) {
    former.close();
    held.release();
    throw error;
  }
}

/** What a former agent of the node hands over; it has left the node then. Errors: those of its API. */
async function handedOver({ place, replace }: AgentProcessOptions): Promise<Handover | null> {
  const { socket } = await nodePaths(place, findCgroup2);
  const handover = await askToHandOver(agentClient(socket), replace);
  if (handover !== null) await socketFreed(socket, COMMAND.stopMs);
  return handover;
}

async function startHeld(options: AgentProcessOptions, held: HeldNode, former: HandedSockets): Promise<RunningAgent> {
  const { parts, events } = await assemble(options, former);
  const { agent, hosted, discovery, datapath, kernel, paths } = parts;
  const { local } = hosted;
  const running = await runAgent({
    local,
    discovery,
    takeOver: async () => {
      former.close(); // who has not come by now listens on sockets of its own
      datapath.activate();
      agent.succession.takeOver();
      await parts.hosting.releaseAll();
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
    carriedToTheEnd: (deadlineMs) => agent.succession.carriedToTheEnd(deadlineMs),
    serve: ({ cleanup, handOver }) =>
      serveLocalSocket(paths.socket, (method, path, body) =>
        answerLocalApi(method, path, body, {
          start: (wanted) => local.start(wanted),
          stop: (key, graceMs) => local.stop(key, graceMs ?? undefined),
          drain: (key, draining) => local.drain(key, draining),
          status: () => statusOf(parts),
          handOver,
          cleanup,
          logLevel: processLogLevel,
        }),
      ),
    // Users before what they use: the agent counts in maps that the data path closes.
    closers: [
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

/** Makes the parts in the order in which each needs the one before; nothing serves yet. */
async function assemble(options: AgentProcessOptions, former: HandedSockets) {
  const { place, log, mishaps, trustDomain, clusterDomain, nameservers } = options;
  const paths = await nodePaths(place, findCgroup2);
  await requireFreeSocket(paths.socket); // before anything is touched that a running agent uses
  claimDirectory(paths.nodeDir, { kind: 'node', node: place.node });
  const hosting = hostingOf(options, paths);
  await hosting.prepare();
  // A mount that is ours is marked, so that leaving the mesh unmounts no bpf file system of somebody else.
  // Programs are attached to the node's cgroup, so it is there before them.
  mkdirSync(paths.cgroup, { recursive: true });
  if (ensureBpffs(place.bpffs)) writeFileSync(paths.mountedMark, place.bpffs);
  const opened = openKernel(paths, log);
  // A program was missing, so nobody judged: nothing runs until all of them are there and every workload is enrolled.
  if (!opened.datapath.guarded) await hosting.holdAll();
  const ca = new CaClient(options.control, { impersonate: true });
  const certificates = new CertificateCache({ fetch: ca.fetch, clock: systemClock, random: systemRandom, log });
  const dns = { nameservers, clusterDomain, clock: guardedClock(systemClock, mishaps), log, mishaps };
  const io = chooseIo(process.env.WEFT_IO, guardedClock(systemClock, mishaps), mishaps);
  const threads = dataThreads(options.threads, process.env.WEFT_IO, availableParallelism());
  const agent = new Agent(agentEffects({ io, ...opened, certificates, former, log, mishaps, threads, nameservers }), {
    node: place.node,
    ...{ trustDomain, datagramsClear: options.datagramsClear, onDemand: options.onDemand },
    descriptorsMax: descriptorsMax(),
    dns: (mesh, clientOf, node) => openDns({ ...dns, ...node }, mesh, clientOf),
  });
  certificates.subscribe((credentials) => agent.carriers.renewed(credentials));
  certificates.subscribeLapse((identity) => agent.carriers.lapsed(identity));
  const hosted = await hosting.open(agent);
  const events = readKernel(opened.datapath.maps, agent, mishaps);
  const discovery = await followMesh(agent, options, {
    // Refusals are explained by the policies that caused them, so they are read before a change; never all of them, or
    // whoever is refused often enough would hold the change up.
    beforeChange: () => void (agent.succession.handedOver || events.drain(AGENT.eventsPerTurnMax)),
    connected: () => void (agent.succession.handedOver || hosted.local.refreshRegistration()),
  });
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
  return { parts, events };
}

/** The term of the node's token, as of the last look: its file may be replaced by another one. */
async function followToken(control: AgentProcessOptions['control']): Promise<{ term: () => TokenTerm | null; close: Cancel }> {
  let term: TokenTerm | null = null;
  const look = async (): Promise<void> => {
    try {
      const { exp, iat } = await tokenClaims(control);
      term = exp === undefined ? null : { untilMs: exp * 1_000, issuedMs: iat === undefined ? null : iat * 1_000 };
    } catch {
      // A file that is being replaced is looked at again; that a token is refused is told by the calls that need it.
    }
  };
  await look();
  const close = systemClock.every(AGENT.tokenLookMs, () => {
    look().catch(toLastResort);
  });
  return { term: () => term, close };
}

/** What the node's token says of itself. It is the control plane that checks it. Errors: WEFT_CONTROL_TOKEN, those of reading it. */
async function tokenClaims({ token }: AgentProcessOptions['control']): Promise<JWTPayload> {
  const text = (await token()).trim();
  try {
    return decodeJwt(text);
  } catch (cause) {
    throw new WeftError('WEFT_CONTROL_TOKEN', 'what --token-file names holds no token', {
      cause,
      remedy: 'make one with weft token NODE where the control plane runs, and put what it prints into that file',
    });
  }
}

/** Applies the mesh to the agent as the control plane tells it; call start() on the result. */
export async function followMesh(agent: Agent, options: AgentProcessOptions, events: MeshEvents): Promise<DiscoveryClient> {
  const { place, log, mishaps, control } = options;
  const { sub = '' } = await tokenClaims(control);
  const { onSynced, ...subscription } = subscribeMesh(agent, events);
  const discovery = new DiscoveryClient({
    endpoint: control,
    node: discoveryNodeOf(place.node, control.clusterId, sub),
    waypoint: null,
    onDemand: options.onDemand,
    clock: systemClock,
    log,
    mishaps,
    ...subscription,
  });
  agent.demand?.connect({ change: (names) => discovery.change(names), isConnected: () => discovery.status().connected });
  // The state of the mesh that could not be put in force is not the whole one: the agent goes on as before its first sync.
  discovery.synced.then(onSynced).catch((error: unknown) => mishaps.report('discovery', error));
  return discovery;
}

/** What `weft status` shows of this node, as of now. */
function statusOf({ options, paths, agent, hosted, kernel, missing, certificates, discovery, tokenTerm, metrics }: Parts) {
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
    ],
    datagramsClear: options.datagramsClear,
    metrics: metrics.address,
    maps: kernel.maps,
    pinDir: paths.pinDir,
    counters: kernel.counters(),
  });
}
