import { randomUUID } from 'node:crypto';
import { dirname } from 'node:path';
import { KEY_NAME, TokenAuthority } from '#control-plane/authentication/tokens.ts';
import type { CertificateAuthority } from '#control-plane/ca/authority.ts';
import type { GivenSigner } from '#control-plane/ca/given-signer.ts';
import { ROOT_NAMES } from '#control-plane/ca/kept-roots.ts';
import type { RootRotations } from '#control-plane/ca/root-rotation.ts';
import { dialledAddress, keepServerCertificate, serverNames } from '#control-plane/ca/server-certificate.ts';
import { ControlPlane } from '#control-plane/control-plane.ts';
import type { ResourceDesk } from '#control-plane/desk/resource-desk.ts';
import { MeshIndex } from '#control-plane/index/mesh-index.ts';
import { DEFAULT_MESH_OPTIONS, type MeshOptions } from '#control-plane/index/mesh-options.ts';
import { KeptAllocations } from '#control-plane/kept-allocations.ts';
import { CRD_FILES, KINDS, MESH } from '#control-plane/kinds/list.ts';
import { AddressPools } from '#control-plane/registry/address-pools.ts';
import { createResourceParser } from '#control-plane/resources/resource-parser.ts';
import type { WaypointRunner } from '#control-plane/waypoints/plan.ts';
import { isLoopback } from '#model/address/ip.ts';
import type { Log } from '#model/effects/log.ts';
import { createMishaps, type Mishaps, toLastResort } from '#model/effects/mishaps.ts';
import { countedDoor } from '#model/guard/door.ts';
import type { NamedService } from '#model/mesh/service.ts';
import { CERTIFICATE, CONTROL } from '#model/settings/control-planes.ts';
import { Meters } from '#model/telemetry/meters.ts';
import type { NodeGrant } from '#model/trust/grant.ts';
import type { PathNormalization } from '#model/waypoint/config.ts';
import { systemClock } from '#platform/clock.ts';
import { readCrds } from '#platform/files/crds.ts';
import { serveControl } from '#platform/grpc/server.ts';
import { givingFreedBack } from '#platform/linux/process/garbage.ts';
import { programStamp } from '#platform/program/installation.ts';
import { systemRandom } from '#platform/random.ts';
import { serveMetrics } from '#platform/telemetry/metrics-server.ts';
import { readOwnProcess } from '#platform/telemetry/process-metrics.ts';
import type { ControlStatus } from '#protocol/api/control.ts';
import { type Backing, directoryBacking, etcdBacking, type StorePlace } from './backing.ts';
import { type ClusterPlace, clusterBacking } from './cluster-backing.ts';
import { documentReader, openDesk } from './document-reader.ts';
import { keptStateIn } from './keeper-thread.ts';
import { type OpenedRoots, openRoots } from './open-roots.ts';
import { serveApi } from './serve-api.ts';

/** What a control plane is told. */
export type StartControlOptions = {
  /** Directory of YAML resources, watched. */
  configDir: string;
  /** Resources and state in etcd instead of directories, as one replica of several. */
  store?: StorePlace | null;
  /** A cluster, in place of a directory; null: none. */
  cluster?: ClusterPlace | null;
  /** Where keys, root and registrations are kept if not in a store; made if need be. */
  stateDir: string;
  /** Port 0: any free one. */
  listen: { host: string; port: number };
  /** Further names and addresses that clients dial. */
  serverNames: readonly string[];
  trustDomain: string;
  clusterDomain?: string;
  rootNamespace?: string;
  /** Istio's default unless told. */
  pathNormalization?: PathNormalization;
  rateLimitService?: NamedService | null;
  traced?: boolean;
  /** Unix socket of the local API; null: none. */
  socketPath: string | null;
  /** null: Gateways get no waypoints here. */
  waypointRunner: WaypointRunner | null;
  /** Where the metrics page is served; null: nowhere. */
  stats: { host: string; port: number } | null;
  /** Told by the metrics page. */
  version: string;
  /** Reads a given intermediate, in place of a root of our own. */
  signer?: GivenSigner | null;
  /** How long each step of a rotation of the root lasts; the default unless told. */
  rootOverlapMs?: number;
  /** Is told what clients verify the mesh with, before anybody is served, and again when that changes. */
  onRoots?: (rootsPem: string) => void;
  /** From how many addresses and policies on what is in force is kept for a quick start; the default unless told. */
  keepStateFrom?: number;
  log: Log;
};

/** A control plane that is serving. */
export type RunningControl = {
  /** `host:port` that it listens on. */
  address: string;
  /** What clients verify it, and one another, with. */
  rootsPem: string;
  mintAgentToken(node: string, grant: NodeGrant): Promise<string>;
  status(): ControlStatus;
  /** Looks at the configuration now, without waiting for a change to be seen. */
  reload(): Promise<void>;
  /** Ends serving. waypoints: whether they end too, or run on to be adopted by the next control plane. */
  stop(options: { waypoints: boolean }): Promise<void>;
  /** Resolves when `stop` has done its work. */
  stopped: Promise<void>;
};

/**
 * Starts the control plane: when this resolves, the configuration is read and clients are served.
 * Errors: WEFT_STATE_DIR, WEFT_STATE_HELD, WEFT_FOREIGN_DIRECTORY, WEFT_CONFIG_DIRECTORY, WEFT_CA_SIGNER, WEFT_TOKEN_KEY, WEFT_LISTEN, WEFT_ALREADY_RUNNING.
 */
export async function startControl(options: StartControlOptions): Promise<RunningControl> {
  const backing = await backingOf(options);
  try {
    return await startOn(options, backing);
  } catch (error) {
    await backing.close();
    throw error;
  }
}

function backingOf(options: StartControlOptions): Promise<Backing> {
  const { configDir, stateDir, socketPath, store = null, cluster = null, listen, serverNames: told, log } = options;
  if (cluster !== null) return clusterBacking(cluster, log);
  if (store !== null) return etcdBacking(store, dialledAddress(told, `${listen.host}:${listen.port}`), log);
  return directoryBacking(configDir, stateDir, socketPath === null ? {} : { runDir: dirname(socketPath) }, log);
}

async function startOn(options: StartControlOptions, backing: Backing): Promise<RunningControl> {
  const { log, socketPath } = options;
  const startedAt = new Date(systemClock.nowMs()).toISOString();
  const parts = await alive(assemble(options, backing));
  const { control, mesh } = parts;
  const closing: (() => void | Promise<void>)[] = [
    () => backing.close(),
    () => parts.reader.close(),
    () => parts.kept.close(),
    () => control.close(),
  ];
  // Newest first, as each uses what was made before it.
  let ended = false;
  const closeAll = async () => {
    ended = true;
    for (const close of closing.reverse()) await close();
  };
  try {
    // Before serving: the first client must not be told a mesh without what is in the files.
    await alive(control.begin());
    const { address, close } = await serve(options, parts);
    closing.push(close);
    const metrics = await serveMetrics(parts.meters, options.stats, log);
    closing.push(metrics.close, givingFreedBack({ begun: control.begun, everyMs: CONTROL.trimMs, collectsAfterMs: null }));
    const { trustDomain, rootNamespace } = mesh;
    const status = () =>
      control.status({ pid: process.pid, version: options.version, startedAt, address, trustDomain, rootNamespace });
    if (socketPath !== null)
      closing.push(await serveApi(socketPath, parts, { status, address, serverNames: options.serverNames }));
    control.begun.then(() => ended || !backing.replica.leads() || control.waypoints?.start()).catch(toLastResort);
    const config = backing.replica.status()?.store ?? options.configDir;
    log.info({ address, config, state: options.stateDir }, 'control plane is serving');
    return running(parts, { address, status, closeAll, log });
  } catch (error) {
    await closeAll();
    throw error;
  }
}

/** Waits in a process that has nothing else to live for: turns of long work are timers that keep nobody alive. */
async function alive<Result>(work: Promise<Result>): Promise<Result> {
  const life = setInterval(() => {}, TIMER_MS_MAX);
  return work.finally(() => clearInterval(life));
}

/** Fixed by Node.js: the longest timer. */
const TIMER_MS_MAX = 2 ** 31 - 1;

type Parts = {
  control: ControlPlane;
  index: MeshIndex;
  authority: CertificateAuthority;
  /** null: the signer is given. */
  rotations: RootRotations | null;
  roots: OpenedRoots;
  mesh: MeshOptions;
  meters: Meters;
  mishaps: Mishaps;
  reload: () => Promise<void>;
  reader: ReturnType<typeof documentReader>;
  kept: ReturnType<typeof keptStateIn>;
  desk: ResourceDesk;
};

/** Reads state and makes the parts; nothing serves or watches yet, so that a failure leaves nothing behind. */
async function assemble(options: StartControlOptions, backing: Backing): Promise<Parts> {
  const { trustDomain, clusterDomain, rootNamespace, pathNormalization, rateLimitService = null, traced = true } = options;
  const { signer = null, waypointRunner: runner, log } = options;
  const clock = systemClock;
  const { state, replica } = backing;
  const mesh: MeshOptions = {
    ...DEFAULT_MESH_OPTIONS,
    trustDomain,
    ...(clusterDomain === undefined ? {} : { clusterDomain }),
    ...(rootNamespace === undefined ? {} : { rootNamespace }),
    ...(pathNormalization === undefined ? {} : { pathNormalization }),
    ...{ rateLimitService, traced, autoWaypoints: backing.autoWaypoints },
  };
  // Whoever leads makes what is missing of these; the others wait for it.
  await backing.ready(signer === null ? [...ROOT_NAMES, KEY_NAME] : [KEY_NAME]);
  const { rootOverlapMs: overlapMs = CERTIFICATE.rootOverlapMs } = options;
  const roots = await openRoots({ signer, state, replica, trustDomain, overlapMs, clock, log });
  const { authority, rotations } = roots;
  const tokens = await TokenAuthority.open(state, clock);
  options.onRoots?.(authority.rootsPem);
  const reader = documentReader(clock);
  const parser = createResourceParser(KINDS, await readCrds(CRD_FILES));
  const { source, editor } = backing.open({ parser, reader });
  const allocations = new KeptAllocations(state, log, { clock, random: systemRandom });
  const index = new MeshIndex({ options: mesh, definitions: MESH, allocations: await allocations.load() });
  const meters = new Meters('control');
  backing.meter(meters);
  const mishaps = createMishaps(log, clock);
  readOwnProcess(meters, { component: 'pilot', version: options.version, mishaps, clock });
  const trust = { authority, authenticator: backing.authenticator(tokens), tokens };
  const build = JSON.stringify([options.version, programStamp(), mesh]);
  const kept = keptStateIn(backing.kept, { build, from: options.keepStateFrom, clock, log });
  const control = new ControlPlane({
    kept: kept.state,
    pools: await AddressPools.open(state),
    index,
    source,
    mesh,
    state,
    allocations,
    ...trust,
    runner,
    keeper: backing.waypoints(() => authority.rootsPem),
    clock,
    log,
    meters,
    newNonce: randomUUID,
    replica,
  });
  const desk = openDesk({ editor, parser, reader, findings: () => control.findings(), log });
  return { control, index, authority, rotations, roots, mesh, meters, mishaps, reload: backing.reload, reader, kept, desk };
}

/** gRPC for agents and waypoints, with a certificate that is renewed while it serves. */
async function serve(
  { listen, serverNames: told, onRoots, log }: StartControlOptions,
  { control, authority, roots, mesh, meters, mishaps }: Parts,
) {
  const names = serverNames([listen.host, ...told], mesh.rootNamespace);
  const issue = () => authority.issueServer(names);
  const certificate = await issue();
  const door = countedDoor({ name: 'control', meters, clock: systemClock, isKnown: isLoopback });
  const server = await serveControl({ ...listen, certificate, handlers: control, door, log, mishaps });
  const stopRenewal = keepServerCertificate({
    first: certificate,
    issue,
    replace: (next) => server.replaceCertificate(next),
    clock: systemClock,
    random: systemRandom,
    log,
  });
  authority.onChange = () => {
    onRoots?.(authority.rootsPem);
    issue()
      .then((next) => server.replaceCertificate(next))
      .catch((error: unknown) => log.error({ err: error }, "the server's certificate is not of the new signer yet"));
  };
  const stopLooking = roots.run();
  const close = async () => {
    stopRenewal();
    stopLooking();
    // Streams never end by themselves; without this the server would wait out its grace, CONTROL.stopGraceMs.
    control.endStreams();
    await server.close(CONTROL.stopGraceMs);
  };
  return { address: server.address, close };
}

type Ending = { address: string; status: () => ControlStatus; closeAll: () => Promise<void>; log: Log };

/** What the caller holds; a second stop is the first one. */
function running({ control, authority, reload }: Parts, { address, status, closeAll, log }: Ending): RunningControl {
  const { promise: stopped, resolve } = Promise.withResolvers<void>();
  let stopping: Promise<void> | null = null;
  const stop = async (waypoints: boolean) => {
    try {
      // While clients are still served, so that what ends does so in order.
      await (waypoints ? control.waypoints?.stopAll() : control.waypoints?.stop());
    } finally {
      await closeAll();
      resolve();
    }
    log.info({ waypoints: waypoints ? 'stopped' : 'left running' }, 'control plane stopped');
  };
  return {
    address,
    get rootsPem() {
      return authority.rootsPem;
    },
    mintAgentToken: async (node, grant) => (await control.agentTokens.mint(node, grant, null)).token,
    status,
    reload,
    stop: ({ waypoints }) => (stopping ??= stop(waypoints)),
    stopped,
  };
}
