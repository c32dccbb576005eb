import { randomBytes } from 'node:crypto';
import { dirname } from 'node:path';
import type { WaypointOptions } from '#cli/control.ts';
import { controlEndpoint, weftVersion } from '#main/commands/control-access.ts';
import { familyOf, type IpAddress } from '#model/address/ip.ts';
import type { ByteStream, Dialled } from '#model/effects/byte-stream.ts';
import type { Clock } from '#model/effects/clock.ts';
import type { Log } from '#model/effects/log.ts';
import { createMishaps, guardedClock, type Mishaps } from '#model/effects/mishaps.ts';
import { countedDoor } from '#model/guard/door.ts';
import { MeshState } from '#model/mesh/mesh-state.ts';
import { TUNNEL } from '#model/settings/tunnels.ts';
import { WAYPOINT } from '#model/settings/waypoints.ts';
import type { Meters } from '#model/telemetry/meters.ts';
import type { WaypointConfig } from '#model/waypoint/config.ts';
import { type AttestedFlows, openAttestedFlows } from '#platform/bpf/attested-flows.ts';
import { systemClock } from '#platform/clock.ts';
import type { ControlEndpoint } from '#platform/grpc/control-channel.ts';
import { CaClient } from '#platform/grpc/control-clients.ts';
import { DiscoveryClient, type DiscoveryStatus } from '#platform/grpc/discovery-client.ts';
import { createClientPool } from '#platform/hbone/client-pool.ts';
import { createHboneServer } from '#platform/hbone/server.ts';
import { chooseIo } from '#platform/io/choice/choose.ts';
import type { Io } from '#platform/io/io.ts';
import { boundSilence, ownTcpSocket } from '#platform/linux/netns/sockets.ts';
import { surviveMishaps } from '#platform/linux/process/last-resort.ts';
import { serve } from '#platform/linux/process/service.ts';
import { serveLocalSocket } from '#platform/local-api/serve-socket.ts';
import { requireRoot } from '#platform/preflight/preflight.ts';
import { pooledUuids, systemRandom } from '#platform/random.ts';
import { commandLog, processLogLevel } from '#platform/telemetry/log.ts';
import { serveMetrics, WAYPOINT_PLACE } from '#platform/telemetry/metrics-server.ts';
import { readProcessMetrics } from '#platform/telemetry/process-metrics.ts';
import { answerWaypointApi } from '#protocol/api/log-level.ts';
import { waypointSocketPath } from '#protocol/api/places.ts';
import { CertificateCache } from '#protocol/ca/certificate-cache.ts';
import type { Http2Engine } from '#protocol/http/message.ts';
import { connectHttp2 } from '#protocol/http/v2/client-connection.ts';
import { acceptHttp2 } from '#protocol/http/v2/server-connection.ts';
import { relayed } from '#protocol/stream/relay.ts';
import { acceptLocal, acceptTunnel } from '#waypoint/listener/accept.ts';
import { followConfiguration, type Serving } from '#waypoint/listener/follow.ts';
import type { Succession, WaypointSockets } from '#waypoint/listener/succession.ts';
import { createWaypoint } from '#waypoint/waypoint.ts';
import { processSuccession } from './succession.ts';

/** What a waypoint is told. */
export type WaypointProcessOptions = {
  namespace: string;
  /** Name of the Gateway. */
  gateway: string;
  serviceAccount: string;
  /** Node it runs on. */
  node: string;
  control: ControlEndpoint;
  /** Where the node's agent pins its data path. */
  pinDir: string;
  leavingFile?: string;
  version: string;
  log: Log;
  mishaps: Mishaps;
};

/**
 * A waypoint that follows its configuration; stop() drains it, after another one has taken its place, if one comes. `ended` resolves
 * when that came by itself; it rejects when this one could not begin to serve.
 */
export type RunningWaypoint = { stop(): Promise<void>; ended: Promise<void> };

/**
 * One waypoint in its own network namespace: HBONE on 15008, clients of this node on 15010. It listens once it has a
 * configuration, so that nothing is answered before it is known what applies.
 * `flows`: who opened a connection on this node; only a test gives another than the kernel's.
 * Errors: WEFT_BPF_PIN when no agent has pinned a data path at `pinDir`.
 */
export async function startWaypoint(
  options: WaypointProcessOptions,
  flows: AttestedFlows = openAttestedFlows(options.pinDir),
): Promise<RunningWaypoint> {
  const { log, mishaps, control } = options;
  const ca = new CaClient(control, { impersonate: false });
  // For itself only: unlike an agent, a waypoint gets no certificate of a workload, so a broken one can be nobody else.
  const certificates = new CertificateCache({ fetch: ca.fetch, clock: systemClock, random: systemRandom, log });
  const mesh = new MeshState();
  const succession = processSuccession(options.leavingFile);
  // Serving begins with the first configuration; later ones change what is served, and a lost one makes it refuse.
  const follower = followConfiguration(
    (config) =>
      serveConfiguration(options, config, { mesh, flows, certificates, discovery: () => discovery.status(), succession }),
    mishaps,
    guardedClock(systemClock, mishaps),
  );
  const id = `${options.gateway}.${options.namespace}`;
  const discovery = new DiscoveryClient({
    endpoint: control,
    node: {
      id: `waypoint~1.1.1.1~${id}~${options.namespace}.svc.cluster.local`,
      metadata: {
        NAME: options.gateway,
        NAMESPACE: options.namespace,
        SERVICE_ACCOUNT: options.serviceAccount,
        NODE_NAME: options.node,
        CLUSTER_ID: control.clusterId,
        INSTANCE_IPS: '1.1.1.1',
      },
    },
    waypoint: `${options.namespace}/${options.gateway}`,
    clock: systemClock,
    log,
    mishaps,
    onMesh: (delta) => follower.meshChanged(mesh.apply(delta)),
    onWaypointConfig: (config) => follower.configured(config),
  });
  discovery.start();
  let ending: Promise<unknown> | null = null;
  const end = async (): Promise<void> => {
    // Nothing new is learned while tunnels drain (WAYPOINT.drainMs), so no request sees a mesh half applied.
    discovery.stop();
    ending ??= Promise.all([follower.stop(), succession.taken]);
    await ending;
  };
  return {
    ended: Promise.race([follower.failed, succession.followed.then(end)]),
    async stop() {
      await succession.wait();
      await end();
    },
  };
}

function serveWaypointMetrics(
  meters: Meters,
  { version, mishaps, log }: WaypointProcessOptions,
  { certificates, discovery }: Pick<Parts, 'certificates' | 'discovery'>,
): ReturnType<typeof serveMetrics> {
  const snapshot = () => certificates.snapshot();
  readProcessMetrics(meters, { component: 'proxy', version, certificates: snapshot, discovery, mishaps, clock: systemClock });
  return serveMetrics(meters, WAYPOINT_PLACE, log);
}

/** HTTP/2 by the codec that carries the tunnels as well. */
function ownHttp2(clock: Clock): Http2Engine {
  return {
    accept: (stream, handler, early) => acceptHttp2(stream, handler, clock, early),
    connect: (stream, owner) => connectHttp2(stream, owner, clock),
  };
}

/** What is there before the first configuration. */
type Parts = {
  mesh: MeshState;
  flows: AttestedFlows;
  certificates: CertificateCache;
  discovery: () => DiscoveryStatus;
  succession: Succession;
};

/** Connects to an app, or to another proxy: a connection to one ends when its node is gone. */
async function dialFrom(io: Io, ip: IpAddress, port: number, isPeer: boolean): Promise<Dialled> {
  const fd = ownTcpSocket(familyOf(ip));
  if (isPeer) boundSilence(fd);
  return io.connect(fd, { ip, port }, TUNNEL.connectTimeoutMs);
}

/** Listens and serves; of the first configuration only what never changes is taken here: the trust domain. */
async function serveConfiguration(
  options: WaypointProcessOptions,
  config: WaypointConfig,
  { mesh, flows, certificates, discovery, succession }: Parts,
): Promise<Serving> {
  const { log, mishaps } = options;
  const clock = guardedClock(systemClock, mishaps);
  const identity = { trustDomain: config.trustDomain, namespace: options.namespace, serviceAccount: options.serviceAccount };
  const credentials = { credentials: () => certificates.get(identity) };
  const io = chooseIo(process.env.WEFT_IO, clock, mishaps);
  // Tunnels to other nodes are kept, and shared by requests.
  const tunnels = createClientPool({
    io,
    dial: (ip, port) => dialFrom(io, ip, port, true),
    ...credentials,
    clock,
    random: systemRandom,
    log,
    mishaps,
  });
  const waypoint = createWaypoint({
    self: { namespace: options.namespace, gateway: options.gateway, node: options.node, identity },
    mesh,
    effects: {
      ...{ clock, random: systemRandom, log, mishaps },
      newUuid: pooledUuids(),
      randomBytes,
      // The kernel goes direct to an endpoint of this node.
      dialDirect: (_workload, ip, port) => dialFrom(io, ip, port, false),
      relay: relayed,
      tunnels,
      http2: ownHttp2(clock),
    },
  });
  const isKnown = (ip: IpAddress): boolean => mesh.workloadByIp(ip) !== null;
  const hbone = createHboneServer({
    io,
    ...credentials,
    trustDomain: config.trustDomain,
    onTunnel: (tunnel) => acceptTunnel(waypoint, tunnel, log),
    onRefused: (cause) => waypoint.meters.counter('weft_refusals_total', { reporter: 'waypoint', cause }).add(),
    door: countedDoor({ name: 'tunnel', meters: waypoint.meters, clock: systemClock, isKnown }),
    clock,
    log,
    mishaps,
  });
  const { sockets, listeners } = await listening(succession, io, {
    peers: (stream) => hbone.handle(stream),
    local: (stream) => acceptLocal(waypoint, (ends) => flows.find(ends), stream, log),
  });
  certificates.warm(identity); // ahead of the first tunnel
  const name = `${options.namespace}/${options.gateway}`;
  log.info({ waypoint: name, services: config.services.length, version: options.version }, 'waypoint is serving');
  const metrics = await serveWaypointMetrics(waypoint.meters, options, { certificates, discovery });
  const stopListening = (): void => {
    metrics.close();
    for (const listener of listeners.splice(0)) listener.close();
  };
  await succession.offer(sockets, stopListening);
  return {
    waypoint,
    stopListening,
    drainTunnels: () => hbone.drain(WAYPOINT.drainMs),
    close() {
      waypoint.close();
      hbone.close();
      tunnels.close(true);
    },
  };
}

type Accepts = Record<keyof WaypointSockets, (stream: ByteStream) => void>;

async function listening(
  succession: Succession,
  io: Io,
  accept: Accepts,
): Promise<{ sockets: WaypointSockets; listeners: { close(): void }[] }> {
  const sockets = await succession.sockets();
  boundSilence(sockets.peers);
  return { sockets, listeners: [io.listen(sockets.peers, accept.peers), io.listen(sockets.local, accept.local)] };
}

/** `weft waypoint`. Root, as the maps of the node are for root alone. Errors: WEFT_CONTROL_FILE, and those of `startWaypoint`. */
export async function waypoint({ control, ...options }: WaypointOptions): Promise<number> {
  requireRoot("reading the node's maps");
  const endpoint = controlEndpoint(control);
  const log = commandLog('waypoint');
  const mishaps = createMishaps(log, systemClock);
  return serve(async () => {
    const running = await startWaypoint({ ...options, control: endpoint, version: weftVersion(), log, mishaps });
    surviveMishaps(mishaps); // only now: what fails half-way through its start has to end
    const closeApi = await serveOwnApi(options, endpoint.address, log);
    return { ...running, stop: () => closeApi().then(running.stop) };
  });
}

/** Beside the socket of discovery, in the one directory of the machine that it sees; without it the level stays what it was. */
async function serveOwnApi(
  { namespace, gateway }: Pick<WaypointOptions, 'namespace' | 'gateway'>,
  controlAddress: string,
  log: Log,
): Promise<() => Promise<void>> {
  const path = waypointSocketPath(dirname(controlAddress.replace(/^unix:/, '')), namespace, gateway);
  try {
    return await serveLocalSocket(path, (method, asked, body) => answerWaypointApi(processLogLevel, method, asked, body));
  } catch (error) {
    log.warn({ err: error }, 'the level of this log cannot be changed from outside');
    return async () => {};
  }
}
