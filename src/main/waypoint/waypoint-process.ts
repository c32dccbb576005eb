import { availableParallelism } from 'node:os';
import { dirname } from 'node:path';
import type { TraceOptions } from '#cli/traces.ts';
import type { WaypointOptions } from '#cli/waypoint.ts';
import { controlEndpoint, weftVersion } from '#main/commands/control-access.ts';
import type { Clock } from '#model/effects/clock.ts';
import type { Log } from '#model/effects/log.ts';
import { createMishaps, guardedClock, type Mishaps } from '#model/effects/mishaps.ts';
import { dataThreads } from '#model/settings/agents.ts';
import { COMMAND } from '#model/settings/host.ts';
import { WAYPOINT } from '#model/settings/waypoints.ts';
import { Meters } from '#model/telemetry/meters.ts';
import { type AttestedFlows, flowsOf } from '#platform/bpf/attested-flows.ts';
import { systemClock } from '#platform/clock.ts';
import type { ControlEndpoint } from '#platform/grpc/control-channel.ts';
import { CaClient } from '#platform/grpc/control-clients.ts';
import { DiscoveryClient } from '#platform/grpc/discovery-client.ts';
import { chooseIo } from '#platform/io/choice/choose.ts';
import { fetchKeysFrom, SYSTEM_KEY_SERVERS } from '#platform/jwt/fetch-keys.ts';
import { surviveMishaps } from '#platform/linux/process/last-resort.ts';
import { serve } from '#platform/linux/process/service.ts';
import { serveLocalSocket } from '#platform/local-api/serve-socket.ts';
import { collectorAt } from '#platform/otlp/collectors.ts';
import { SpanExporter } from '#platform/otlp/span-exporter.ts';
import { requireRoot } from '#platform/preflight/preflight.ts';
import { systemRandom } from '#platform/random.ts';
import { commandLog, processLogLevel } from '#platform/telemetry/log.ts';
import { answerWaypointApi } from '#protocol/api/log-level.ts';
import { waypointSocketPath } from '#protocol/api/places.ts';
import { CertificateCache } from '#protocol/ca/certificate-cache.ts';
import type { ClientNode } from '#protocol/xds/client-session.ts';
import { KeyFetcher } from '#waypoint/keys/key-fetcher.ts';
import { followConfiguration } from '#waypoint/listener/follow.ts';
import { serveHere } from '#waypoint/plane/data-plane.ts';
import type { Plane, ToControl } from '#waypoint/seam/messages.ts';
import { Planes, type PlanesOptions } from '#waypoint/seam/planes.ts';
import { startDataThreads } from './data-threads.ts';
import { listeningOf } from './listening.ts';
import { planeEffects } from './plane-effects.ts';
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
  /** Where the node's agent pins its data path; null: it is not to be seen, and every client comes by a tunnel. */
  pinDir: string | null;
  leavingFile?: string;
  /**
   * Nobody takes its place: told to stop, it serves on until all nodes know that, and what it carries then goes on for so long; null: another
   * one may come.
   */
  drain: { carryMs: number } | null;
  /** Threads that serve; 0: that of the waypoint itself; null: by the machine's cores. */
  threads: number | null;
  /** Where it tells of the requests that it traces; null: it traces none. */
  traces: TraceOptions | null;
  /** How its log tells of requests, in Envoy's words; null: as fields. */
  accessLogFormat: string | null;
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
 * configuration, so that nothing is answered before it is known what applies. What serves runs in data threads; here it is followed what
 * they are to know.
 * `flows`: who opened a connection on this node; only a test gives another than the kernel's, to a waypoint without data threads.
 * Errors: WEFT_BPF_PIN when no agent has pinned a data path at `pinDir`.
 */
export async function startWaypoint(
  options: WaypointProcessOptions,
  flows: AttestedFlows = flowsOf(options.pinDir),
): Promise<RunningWaypoint> {
  const { log, mishaps, control } = options;
  const clock = guardedClock(systemClock, mishaps);
  const ca = new CaClient(control, { impersonate: false });
  // For itself only: unlike an agent, a waypoint gets no certificate of a workload, so a broken one can be nobody else.
  const certificates = new CertificateCache({ fetch: ca.fetch, clock: systemClock, random: systemRandom, log });
  const meters = new Meters('waypoint');
  const planes = new Planes({
    start: (receive) => startPlanes({ options, certificates, meters, clock, flows }, receive),
    credentials: (identity) => certificates.get(identity),
    spans: spansOf(options, meters, clock),
    keysWanted: (source) => keys.wanted(source),
    clock,
  });
  const fetchKeys = fetchKeysFrom(SYSTEM_KEY_SERVERS);
  const keys = new KeyFetcher({ fetchKeys, tell: (told) => planes.keys(told), clock, random: systemRandom, log, meters });
  certificates.subscribe((credentials) => planes.renewed(credentials));
  const succession = processSuccession(options.leavingFile);
  const discovery = new DiscoveryClient({
    endpoint: control,
    node: discoveryNode(options),
    waypoint: `${options.namespace}/${options.gateway}`,
    clock: systemClock,
    log,
    mishaps,
    onMesh: (delta) => planes.mesh(delta),
    onWaypointConfig: (config) => follower.configured(config),
  });
  const listening = listeningOf({
    ...{ name: `${options.namespace}/${options.gateway}`, version: options.version, log, mishaps },
    ...{ planes, succession, meters, certificates, discovery: () => discovery.status() },
  });
  // Serving begins with the first configuration; later ones change what is served, and a lost one makes it refuse.
  const follower = followConfiguration(
    {
      configure(config) {
        planes.configure(config);
        keys.configured(config);
      },
      known: discovery.synced,
      begin: () => listening.begin(),
      settled: () => planes.settled(),
      stopListening: () => listening.stop(),
      drained: () => planes.drained(options.drain?.carryMs ?? WAYPOINT.drainMs),
      close() {
        discovery.stop();
        keys.close();
        return planes.close();
      },
    },
    clock,
  );
  discovery.start();
  let ending: Promise<unknown> | null = null;
  const end = async (): Promise<void> => {
    ending ??= Promise.all([follower.stop(), succession.taken]);
    await ending;
  };
  return {
    ended: Promise.race([follower.failed, succession.followed.then(end)]),
    async stop() {
      if (options.drain === null) await succession.wait();
      else await new Promise<void>((resolve) => clock.after(WAYPOINT.lateMs, resolve));
      await end();
    },
  };
}

function discoveryNode({ gateway, namespace, serviceAccount, node, control }: WaypointProcessOptions): ClientNode {
  return {
    id: `waypoint~1.1.1.1~${gateway}.${namespace}~${namespace}.svc.cluster.local`,
    metadata: {
      NAME: gateway,
      NAMESPACE: namespace,
      SERVICE_ACCOUNT: serviceAccount,
      NODE_NAME: node,
      CLUSTER_ID: control.clusterId,
      INSTANCE_IPS: '1.1.1.1',
    },
  };
}

/** Takes spans to the collector; to nowhere where none is named, and none is made then. */
function spansOf(
  { traces, gateway, namespace, node, version, log }: WaypointProcessOptions,
  meters: Meters,
  clock: Clock,
): PlanesOptions['spans'] {
  if (traces === null) return () => {};
  const resource = { 'service.name': `${gateway}.${namespace}`, 'service.namespace': namespace, 'host.name': node };
  const exporter = new SpanExporter({ collector: collectorAt(traces.collector, { resource, version }), clock, log, meters });
  return (spans, dropped) => exporter.add(spans, dropped);
}

type PlanesParts = {
  options: WaypointProcessOptions;
  certificates: CertificateCache;
  meters: Meters;
  clock: Clock;
  flows: AttestedFlows;
};

/** Those that serve: data threads, or this thread where there are none. */
function startPlanes(
  { options, certificates, meters, clock, flows }: PlanesParts,
  receive: (from: Plane, message: ToControl) => void,
): Plane[] {
  const { namespace, gateway, serviceAccount, node, accessLogFormat, pinDir, log, mishaps } = options;
  const whose = { namespace, gateway, serviceAccount, node, accessLogFormat, tracedPercent: options.traces?.percent ?? null };
  const threads = dataThreads(options.threads, process.env.WEFT_IO, availableParallelism());
  if (threads > 0) {
    flows.close(); // each of them looks at its own
    return startDataThreads(threads, { plane: whose, pinDir, meters, log, mishaps }, receive);
  }
  const io = chooseIo(process.env.WEFT_IO, clock, mishaps);
  const effects = planeEffects({ io, flows, certificates, meters, clock, log, mishaps });
  return [serveHere({ ...whose, threads: 1, tellsProblems: true }, effects, receive)];
}

/** `weft waypoint`. Root where it reads the maps of the node, which are for root alone. Errors: WEFT_CONTROL_FILE, and those of `startWaypoint`. */
export async function waypoint({ control, ...options }: WaypointOptions): Promise<number> {
  if (options.pinDir !== null) requireRoot("reading the node's maps");
  const endpoint = controlEndpoint(control);
  const log = commandLog('waypoint');
  const mishaps = createMishaps(log, systemClock);
  return serve(async () => {
    const running = await startWaypoint({ ...options, control: endpoint, version: weftVersion(), log, mishaps });
    surviveMishaps(mishaps); // only now: what fails half-way through its start has to end
    const closeApi = await serveOwnApi(options, endpoint.address, log);
    const stop = () => closeApi().then(running.stop);
    return options.drain === null ? { ...running, stop } : { ...running, stop, stopMs: stopMsOf(options.drain) };
  });
}

/** All of its end: that of what it carries comes between that of what is chosen and that of its threads. */
function stopMsOf({ carryMs }: { carryMs: number }): number {
  return WAYPOINT.lateMs + carryMs + COMMAND.serviceStopMs;
}

/** Beside the socket of discovery, in the one directory of the machine that it sees; without it the level stays what it was. */
async function serveOwnApi(
  { namespace, gateway }: Pick<WaypointOptions, 'namespace' | 'gateway'>,
  controlAddress: string,
  log: Log,
): Promise<() => Promise<void>> {
  // In a pod nobody of outside would find it.
  if (!controlAddress.startsWith('unix:')) return async () => {};
  const path = waypointSocketPath(dirname(controlAddress.replace(/^unix:/, '')), namespace, gateway);
  try {
    return await serveLocalSocket(path, (method, asked, body) => answerWaypointApi(processLogLevel, method, asked, body));
  } catch (error) {
    log.warn({ err: error }, 'the level of this log cannot be changed from outside');
    return async () => {};
  }
}
