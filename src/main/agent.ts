import { randomBytes } from 'node:crypto';
import { mkdirSync, rmSync } from 'node:fs';
import { decodeJwt } from 'jose';
import type { Log } from '#model/effects/log.ts';
import type { MeshDelta } from '#model/mesh/delta.ts';
import { Agent } from '#node-agent/agent.ts';
import type { AgentEffects } from '#node-agent/effects.ts';
import { answerLocalApi } from '#node-agent/local-api.ts';
import { LocalWorkloads } from '#node-agent/local-workloads.ts';
import { releaseBpffs } from '#platform/bpf/bpffs.ts';
import { type Datapath, removePins } from '#platform/bpf/datapath.ts';
import { readEvents } from '#platform/bpf/events.ts';
import { systemClock } from '#platform/clock.ts';
import type { Nameserver } from '#platform/dns-upstream/resolv-conf.ts';
import { CaClient } from '#platform/grpc/ca-client.ts';
import type { ControlEndpoint } from '#platform/grpc/control-channel.ts';
import { DiscoveryClient } from '#platform/grpc/discovery-client.ts';
import { RegistryClient } from '#platform/grpc/registry-client.ts';
import { createClientPool } from '#platform/hbone/client-pool.ts';
import { createHboneServer } from '#platform/hbone/server.ts';
import { WorkloadNamespace } from '#platform/netns/workload-namespace.ts';
import { systemRandom } from '#platform/random.ts';
import { relay } from '#platform/relay/relay.ts';
import type { Sandboxes } from '#platform/sandbox/sandboxes.ts';
import { CertificateCache } from '#protocol/ca/certificate-cache.ts';
import { openDns } from './agent/dns.ts';
import { openKernel } from './agent/kernel.ts';
import { serveLocalSocket } from './agent/local-socket.ts';
import { type AgentPaths, type AgentPlace, agentPaths } from './agent/paths.ts';
import { openSandboxes } from './agent/sandboxes.ts';
import { agentStatus } from './agent/status.ts';
import { workloadStore } from './agent/workload-store.ts';

const EVENTS_PERIOD_MS = 50;
const NO_CHANGE: MeshDelta = { workloads: new Map(), services: new Map(), policies: new Map() };

export type AgentProcessOptions = {
  place: AgentPlace;
  control: ControlEndpoint;
  /** Empty: those of the node's resolv.conf. */
  nameservers: readonly Nameserver[];
  /** Ranges reached without address translation; null: no translation at all. */
  noNatFor: readonly string[] | null;
  trustDomain: string;
  clusterDomain: string;
  version: string;
  log: Log;
};

export type RunningAgent = {
  /** Stops serving; what the kernel carries goes on, and a new agent takes over. */
  stop(): Promise<void>;
  /** Resolves when the agent was told over its local API to clean up and has done so. */
  cleaned: Promise<void>;
};

/** The agent of one node: the only place where its platform meets its logic. Errors: those of the kernel, the sandbox and the run directory. */
export async function startAgent(options: AgentProcessOptions): Promise<RunningAgent> {
  const { place, log } = options;
  const paths = await agentPaths(place);
  mkdirSync(paths.nodeDir, { recursive: true, mode: 0o700 });
  const sandboxes = openSandboxes(place, paths, options.clusterDomain, options.noNatFor, log);
  const readiness = await sandboxes.prepareNode();
  mkdirSync(paths.cgroup, { recursive: true });
  const { kernel, datapath, missing } = openKernel({ ...paths, bpffs: place.bpffs }, log);
  const ca = new CaClient(options.control, { impersonate: true });
  const certificates = new CertificateCache({ fetch: ca.fetch, clock: systemClock, random: systemRandom, log });
  const dnsCounters: Record<string, number> = {};
  const agent = new Agent(agentEffects(options, { kernel, datapath, certificates }), {
    node: place.node,
    trustDomain: options.trustDomain,
    dns: (mesh, namespaceOf) =>
      openDns(
        {
          nameservers: options.nameservers,
          clusterDomain: options.clusterDomain,
          clock: systemClock,
          log,
          counters: dnsCounters,
        },
        mesh,
        namespaceOf,
      ),
  });
  const local = openLocalWorkloads(agent, sandboxes, options, paths);
  const events = readEvents(datapath.maps.events.fd, (event) => agent.kernelEvent(event));
  const stopEvents = systemClock.every(EVENTS_PERIOD_MS, () => events.drain());
  // Refusals are explained by the policies that caused them, so they are read before a change.
  const discovery = followMesh(agent, local, () => events.drain(), options, tokenSubject(await options.control.token()));
  await local.restore();
  const stopReaping = local.watch();
  discovery.start();

  const { promise: cleaned, resolve: reportCleaned } = Promise.withResolvers<void>();
  const stop = async (): Promise<void> => {
    stopReaping();
    stopEvents();
    discovery.stop();
    await closeSocket();
    agent.stop();
    events.close();
    datapath.close();
  };
  const status = () => {
    const { connected, syncedAtMs, error } = discovery.status();
    const syncedAt = syncedAtMs === null ? null : new Date(syncedAtMs).toISOString();
    return agentStatus({
      node: place.node,
      version: options.version,
      agent,
      certificates: certificates
        .snapshot()
        .map(({ notAfterMs, ...one }) => ({ ...one, notAfter: notAfterMs === null ? '' : new Date(notAfterMs).toISOString() })),
      controlPlane: { address: options.control.address, connected, syncedAt, error },
      degraded: [...readiness.degraded, ...missing.map(({ feature, loss }) => `${feature} is missing: ${loss}`)],
      kernel: {
        pinDir: paths.pinDir,
        liveDirectFlows: kernel.maps.flows.entries().length,
        verdicts: kernel.maps.verdicts.entries().length,
        counters: { ...kernel.counters(), ...dnsCounters },
      },
    });
  };
  const cleanup = async (): Promise<void> => {
    await local.stopAll();
    // The answer has to leave before the socket closes.
    systemClock.after(
      100,
      () =>
        void stop()
          .then(() => cleanupNode(place, log))
          .then(reportCleaned),
    );
  };
  const closeSocket = await serveLocalSocket(paths.socket, (method, path, body) =>
    answerLocalApi(method, path, body, {
      start: (wanted) => local.start(wanted),
      stop: (key) => local.stop(key),
      status,
      cleanup,
    }),
  );
  log.info({ node: place.node, socket: paths.socket, adopted: kernel.adopted }, 'agent is running');
  return { stop, cleaned };
}

/** Removes every trace of a node's agent, running or dead: programs, pins, namespaces, cgroups, files. */
export async function cleanupNode(place: AgentPlace, log: Log): Promise<void> {
  const paths = await agentPaths(place);
  await openSandboxes(place, paths, 'cluster.local', null, log).removeNode();
  removePins(paths.pinDir);
  if (place.bpffs !== '/sys/fs/bpf') releaseBpffs(place.bpffs);
  rmSync(paths.nodeDir, { recursive: true, force: true });
}

type Parts = { kernel: AgentEffects['kernel']; datapath: Datapath; certificates: CertificateCache };

function agentEffects({ log }: AgentProcessOptions, { kernel, datapath, certificates }: Parts): AgentEffects {
  return {
    kernel,
    openNamespace: (netnsPath) => new WorkloadNamespace(netnsPath, datapath.maps),
    credentials: (identity) => certificates.get(identity),
    forgetCredentials: (identity) => certificates.drop(identity),
    createPool: (dial) =>
      createClientPool({
        dial,
        credentials: (identity) => certificates.get(identity),
        clock: systemClock,
        random: systemRandom,
        log,
      }),
    createHboneServer: (server) => createHboneServer({ ...server, clock: systemClock, log }),
    relay: (a, b, signal) => relay(a, b, { signal }),
    randomHex: (bytes) => randomBytes(bytes).toString('hex'),
    clock: systemClock,
    random: systemRandom,
    log,
  };
}

function openLocalWorkloads(agent: Agent, sandboxes: Sandboxes, options: AgentProcessOptions, paths: AgentPaths): LocalWorkloads {
  const registry = new RegistryClient(options.control, options.place.node);
  return new LocalWorkloads(agent, {
    sandboxes: {
      create: (key) => sandboxes.create(key),
      remove: (key, how) => sandboxes.remove(key, how),
      isEmpty: (key) => sandboxes.isEmpty(key),
    },
    register: (workloads) => registry.sync(workloads),
    expectedUid: ({ namespace, name }) => `${options.control.clusterId}/weft.dev/Workload/${namespace}/${name}`,
    store: workloadStore(paths.workloads),
    clock: systemClock,
    log: options.log,
  });
}

/** Who the token says we are; the control plane compares it with what the node says of itself. */
function tokenSubject(token: string): { namespace: string; serviceAccount: string } {
  const [, , namespace = '', serviceAccount = ''] = (decodeJwt(token.trim()).sub ?? '').split(':');
  return { namespace, serviceAccount };
}

type Subject = ReturnType<typeof tokenSubject>;

function followMesh(
  agent: Agent,
  local: LocalWorkloads,
  beforeChange: () => void,
  options: AgentProcessOptions,
  { namespace, serviceAccount }: Subject,
): DiscoveryClient {
  const { place, log, control } = options;
  const discovery = new DiscoveryClient({
    endpoint: control,
    node: {
      // The form istiod expects of a node proxy (control-plane-protocols 1.3).
      id: `ztunnel~1.1.1.1~${place.node}.${namespace}~${namespace}.svc.cluster.local`,
      metadata: {
        NAME: place.node,
        NAMESPACE: namespace,
        SERVICE_ACCOUNT: serviceAccount,
        NODE_NAME: place.node,
        CLUSTER_ID: control.clusterId,
        INSTANCE_IPS: '1.1.1.1',
      },
    },
    waypoint: null,
    clock: systemClock,
    log,
    onMesh: (delta) => {
      beforeChange();
      agent.applyMesh(delta, agent.synced);
    },
    onConnected: () => local.refreshRegistration(),
  });
  void discovery.synced.then(() => agent.applyMesh(NO_CHANGE, true));
  return discovery;
}
