import { randomUUID } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { isIP } from 'node:net';
import { dirname } from 'node:path';
import { TokenAuthority } from '#control-plane/authentication/tokens.ts';
import { CertificateAuthority, type ServerCertificate } from '#control-plane/ca/authority.ts';
import { ALLOCATIONS_NAME, ControlPlane } from '#control-plane/control-plane.ts';
import { controlStatus } from '#control-plane/control-status.ts';
import { MeshIndex } from '#control-plane/index/mesh-index.ts';
import { DEFAULT_MESH_OPTIONS, type MeshOptions } from '#control-plane/index/mesh-options.ts';
import type { Allocations } from '#control-plane/index/vip-allocator.ts';
import { CRD_FILES } from '#control-plane/resources/kinds-table.ts';
import { createResourceParser } from '#control-plane/resources/resource-parser.ts';
import { DirectorySource, type FileSnapshot } from '#control-plane/sources/directory/directory-source.ts';
import type { StateStore } from '#control-plane/state-store.ts';
import type { WaypointRunner } from '#control-plane/waypoints/runner.ts';
import { serveLocalSocket } from '#main/agent/local-socket.ts';
import { answerControlApi } from '#main/control-api.ts';
import { openStateDirectory } from '#main/control-state.ts';
import type { Cancel } from '#model/effects/clock.ts';
import type { Log } from '#model/effects/log.ts';
import { CERTIFICATE, CONTROL } from '#model/settings/control-planes.ts';
import { systemClock } from '#platform/clock.ts';
import { readCrds } from '#platform/files/crds.ts';
import { watchDirectory } from '#platform/files/watch-directory.ts';
import { type ControlServer, serveControl } from '#platform/grpc/server.ts';
import { systemRandom } from '#platform/random.ts';
import type { ControlStatus, TokenResponse } from '#protocol/api/control.ts';
import { renewalDelayMs } from '#protocol/ca/renewal.ts';
import type { SignerFiles } from '#protocol/ca/signer.ts';

/** What a control plane is told. */
export type StartControlOptions = {
  /** Directory of YAML resources, watched. */
  configDir: string;
  /** Where keys, root and registrations are kept; made if need be. */
  stateDir: string;
  /** Port 0: any free one. */
  listen: { host: string; port: number };
  /** Further names and addresses that clients dial. */
  serverNames: readonly string[];
  trustDomain: string;
  clusterDomain?: string;
  rootNamespace?: string;
  /** Unix socket of the local API; null: none. */
  socketPath: string | null;
  /** null: Gateways get no waypoints here. */
  waypointRunner: WaypointRunner | null;
  /** A given intermediate instead of a root of our own. */
  signer?: SignerFiles | null;
  log: Log;
};

/** A control plane that is serving. */
export type RunningControl = {
  /** `host:port` that it listens on. */
  address: string;
  /** What clients verify it, and one another, with. */
  rootsPem: string;
  mintAgentToken(node: string): Promise<string>;
  status(): ControlStatus;
  /** Ends serving. waypoints: whether they end too, or run on to be adopted by the next control plane. */
  stop(options: { waypoints: boolean }): Promise<void>;
  /** Resolves when `stop` has done its work. */
  stopped: Promise<void>;
};

/**
 * Starts the control plane: when this resolves, the configuration is read and clients are served.
 * Errors: WEFT_STATE_DIR, WEFT_CONFIG_DIRECTORY, WEFT_CA_SIGNER, WEFT_TOKEN_KEY, WEFT_LISTEN, WEFT_ALREADY_RUNNING.
 */
export async function startControl(options: StartControlOptions): Promise<RunningControl> {
  const { log, socketPath } = options;
  const startedMs = systemClock.nowMs();
  const state = await openStateDirectory(options.stateDir);
  const { control, authority, mesh } = await assemble(options, state);
  const closing: (() => void | Promise<void>)[] = [];
  const closeAll = async () => {
    for (const close of closing.reverse()) await close();
  };
  try {
    closing.push(await followConfiguration(options.configDir, control, log));
    const served = await serve(options, mesh, authority, control);
    closing.push(served.close);
    const frame = {
      pid: process.pid,
      startedAt: new Date(startedMs).toISOString(),
      address: served.address,
      trustDomain: mesh.trustDomain,
      rootNamespace: mesh.rootNamespace,
    };
    const status = () => controlStatus(control, frame);
    if (socketPath !== null) closing.push(await serveApi(socketPath, { options, control, authority, status }));
    control.waypoints?.start();
    log.info({ address: served.address, config: options.configDir, state: options.stateDir }, 'control plane is serving');

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
      address: served.address,
      rootsPem: authority.rootsPem,
      mintAgentToken: (node) => control.mintAgentToken(node),
      status,
      stop: ({ waypoints }) => (stopping ??= stop(waypoints)),
      stopped,
    };
  } catch (error) {
    await closeAll();
    throw error;
  }
}

async function assemble(options: StartControlOptions, state: StateStore) {
  const { trustDomain, clusterDomain, rootNamespace, signer = null, waypointRunner: runner, log } = options;
  const clock = systemClock;
  const mesh: MeshOptions = {
    ...DEFAULT_MESH_OPTIONS,
    trustDomain,
    ...(clusterDomain === undefined ? {} : { clusterDomain }),
    ...(rootNamespace === undefined ? {} : { rootNamespace }),
  };
  const authority = await CertificateAuthority.open({ store: state, given: signer, trustDomain, clock, log });
  const tokens = await TokenAuthority.open(state, clock);
  const source = new DirectorySource(createResourceParser(await readCrds(CRD_FILES)));
  const index = new MeshIndex(mesh, await keptAllocations(state, log));
  const control = new ControlPlane({ index, source, mesh, state, authority, tokens, runner, clock, log, newNonce: randomUUID });
  return { control, authority, mesh };
}

async function keptAllocations(state: StateStore, log: Log): Promise<Allocations> {
  const text = await state.read(ALLOCATIONS_NAME);
  if (text === null) return {};
  try {
    return JSON.parse(text) as Allocations;
  } catch (error) {
    log.warn({ file: ALLOCATIONS_NAME, err: error }, 'kept service addresses cannot be read; they are allocated anew');
    return {};
  }
}

/** Reads the configuration, then follows it. Resolves once the first content is in force. */
async function followConfiguration(configDir: string, control: ControlPlane, log: Log): Promise<() => void> {
  let latest: FileSnapshot = new Map();
  let begun = false;
  const watch = await watchDirectory(configDir, {
    onFiles(files) {
      latest = files;
      if (begun) control.applyFiles(files);
    },
    onProblem: (problem) => log.error({ err: problem }, 'configuration cannot be read'),
  });
  const first = latest;
  await control.begin(first);
  begun = true;
  if (latest !== first) control.applyFiles(latest);
  return () => watch.close();
}

async function serve(
  { listen, serverNames, log }: StartControlOptions,
  mesh: MeshOptions,
  authority: CertificateAuthority,
  control: ControlPlane,
) {
  const names = certificateNames([listen.host, ...serverNames], mesh.rootNamespace);
  const certificate = await authority.issueServer(names);
  const server = await serveControl({ ...listen, certificate, handlers: control, log });
  const stopRenewal = keepCertificate(server, certificate, () => authority.issueServer(names), log);
  const close = async () => {
    stopRenewal();
    control.discovery.close();
    await server.close(CONTROL.stopGraceMs);
  };
  return { address: server.address, close };
}

/** Every name a client may dial: those told, this machine's own, and the one a stock ztunnel uses. */
function certificateNames(told: readonly string[], rootNamespace: string): { dnsNames: string[]; ips: string[] } {
  const anyAddress = ['0.0.0.0', '::'];
  const names = new Set(
    [...told, 'localhost', '127.0.0.1', '::1', `istiod.${rootNamespace}.svc`].filter((name) => !anyAddress.includes(name)),
  );
  return { dnsNames: [...names].filter((name) => isIP(name) === 0), ips: [...names].filter((name) => isIP(name) !== 0) };
}

/** Renews the server's certificate at half of its life, for as long as it serves. */
function keepCertificate(
  server: ControlServer,
  first: ServerCertificate,
  issue: () => Promise<ServerCertificate>,
  log: Log,
): Cancel {
  let cancel: Cancel = () => {};
  let over = false;
  const renew = async () => {
    try {
      const certificate = await issue();
      if (over) return;
      server.replaceCertificate(certificate);
      plan(renewalDelayMs(certificate, systemClock.nowMs(), systemRandom));
    } catch (error) {
      log.error({ err: error }, "the server's certificate is not renewed");
      if (!over) plan(CERTIFICATE.serverRetryMs);
    }
  };
  const plan = (delayMs: number) => {
    cancel = systemClock.after(delayMs, () => void renew());
  };
  plan(renewalDelayMs(first, systemClock.nowMs(), systemRandom));
  return () => {
    over = true;
    cancel();
  };
}

type ApiParts = {
  options: StartControlOptions;
  control: ControlPlane;
  authority: CertificateAuthority;
  status: () => ControlStatus;
};

async function serveApi(socketPath: string, { options, control, authority, status }: ApiParts): Promise<() => Promise<void>> {
  await mkdir(dirname(socketPath), { recursive: true, mode: 0o700 });
  const mintToken = async (node: string, ttlMs: number | null): Promise<TokenResponse> => {
    const lastsMs = ttlMs ?? control.agentTokenMs;
    const { address } = status();
    const [name] = options.serverNames;
    const port = address.slice(address.lastIndexOf(':') + 1);
    return {
      token: await control.mintAgentToken(node, lastsMs),
      expiresAt: new Date(systemClock.nowMs() + lastsMs).toISOString(),
      rootsPem: authority.rootsPem,
      address: name === undefined ? address : `${name.includes(':') ? `[${name}]` : name}:${port}`,
    };
  };
  const stopWaypoints = async () => control.waypoints?.stopAll();
  return serveLocalSocket(socketPath, (method, path, body) =>
    answerControlApi({ status, mintToken, stopWaypoints }, method, path, body),
  );
}
