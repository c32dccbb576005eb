import { readFileSync, rmSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { ControlOptions, StoreAccess } from '#cli/control.ts';
import type { GivenSigner } from '#control-plane/ca/given-signer.ts';
import { DEFAULT_MESH_OPTIONS } from '#control-plane/index/mesh-options.ts';
import type { WaypointRunner } from '#control-plane/waypoints/plan.ts';
import { processRunner } from '#control-plane/waypoints/process-runner.ts';
import { weftVersion } from '#main/commands/control-access.ts';
import type { StorePlace } from '#main/control/backing.ts';
import { startControl } from '#main/control/control-process.ts';
import { WeftError } from '#model/error.ts';
import { WAYPOINT_RIGHTS } from '#model/rights/rights.ts';
import { refusalOf } from '#model/system-error.ts';
import { systemClock } from '#platform/clock.ts';
import { claimDirectory } from '#platform/files/marked-directory.ts';
import { registerPrivate } from '#platform/files/private-places.ts';
import { replaceFileSync } from '#platform/files/replace-file.ts';
import { readSignerFiles } from '#platform/files/signer-files.ts';
import { openStateDirectory } from '#platform/files/state-directory.ts';
import { relayToControl } from '#platform/grpc/control-relay.ts';
import { serve } from '#platform/linux/process/service.ts';
import { launchDetached, signalProcess, startTimeOf } from '#platform/linux/sandbox/detached.ts';
import { agentClient } from '#platform/local-api/clients.ts';
import { partFlags, WEFT_PROGRAM } from '#platform/program/installation.ts';
import { commandLog } from '#platform/telemetry/log.ts';
import { discoverySocketPath, waypointLogPath, waypointRootPath, waypointsDirectory } from '#protocol/api/places.ts';

/**
 * `weft control`: serves until a signal. Its waypoints outlive it, and the next control plane adopts them, so that
 * replacing a control plane interrupts no connection. Errors: those of `startControl`.
 */
export async function control(options: ControlOptions): Promise<number> {
  const log = commandLog('control');
  const runDir = dirname(resolve(options.socket));
  claimDirectory(runDir, { kind: 'run' });
  return serve(async () => {
    const waypoints = await waypointParts(options, runDir);
    const running = await startControl({
      configDir: options.config,
      store: storePlace(options.store),
      cluster:
        options.cluster === null
          ? null
          : {
              ...options.cluster,
              namespace: SYSTEM_NAMESPACE,
              version: weftVersion(),
              traces: options.traces,
              accessLogFormat: options.accessLogFormat,
            },
      stateDir: options.stateDir,
      signer: signerIn(options.caDir),
      listen: options.listen,
      serverNames: options.serverNames,
      trustDomain: options.trustDomain,
      pathNormalization: options.pathNormalization,
      rateLimitService: options.rateLimitService,
      traced: options.traces !== null,
      socketPath: options.socket,
      onRoots: waypoints.onRoots,
      waypointRunner: waypoints.runner,
      stats: options.stats,
      version: weftVersion(),
      log,
    });
    registerPrivate([options.stateDir, runDir]);
    const stopRelay = await waypoints.relayTo(running.address);
    return {
      async stop() {
        stopRelay(); // first, so that a waypoint sees its stream end rather than stall
        await running.stop({ waypoints: false });
      },
      ended: running.stopped,
      reload: () => running.reload(),
    };
  });
}

function signerIn(caDir: string | null): GivenSigner | null {
  return caDir === null ? null : () => readSignerFiles(caDir);
}

/** Where the control plane of a cluster keeps its own. */
const SYSTEM_NAMESPACE = DEFAULT_MESH_OPTIONS.rootNamespace;

/** What waypoints of this machine need, beside what runs without them. */
type WaypointParts = {
  runner: WaypointRunner | null;
  onRoots(rootsPem: string): void;
  /** Returns what ends it. */
  relayTo(address: string): Promise<() => void>;
};

async function waypointParts(options: ControlOptions, runDir: string): Promise<WaypointParts> {
  const { waypointAgent, stateDir, store, cluster } = options;
  if (waypointAgent === null) return { runner: null, onRoots: () => {}, relayTo: async () => () => {} };
  if (store !== null || cluster !== null) claimDirectory(stateDir, { kind: 'state', runDir }); // for their logs
  return {
    runner: await runnerFor(waypointAgent, options, runDir),
    // They read it for each connection.
    onRoots: (rootsPem) => replaceFileSync(waypointRootPath(runDir), rootsPem),
    // A waypoint's own namespace may have no way to the control plane's address; a socket in the file system it can reach.
    relayTo: (address) => relayToControl(discoverySocketPath(runDir), address),
  };
}

/** Errors: WEFT_ETCD_TLS when a file cannot be read. */
function storePlace(access: StoreAccess | null): StorePlace | null {
  if (access === null) return null;
  const { members, prefix, caFile, certFile, keyFile } = access;
  if (caFile === null) return { members, prefix, tls: null };
  const read = (file: string): string => {
    try {
      return readFileSync(file, 'utf8');
    } catch (cause) {
      throw new WeftError('WEFT_ETCD_TLS', `the certificates for etcd cannot be used: ${refusalOf(cause)}`, {
        cause,
        remedy: `name PEM files that can be read; ${file} cannot`,
      });
    }
  };
  const own = certFile === null || keyFile === null ? { cert: null, key: null } : { cert: read(certFile), key: read(keyFile) };
  return { members, prefix, tls: { ca: read(caFile), ...own } };
}

/** Starts waypoints as processes in sandboxes of the agent behind `agentSocket`, and keeps a record of each in `runDir`. */
async function runnerFor(
  agentSocket: string,
  {
    stateDir,
    waypointThreads: threads,
    traces,
    accessLogFormat,
  }: Pick<ControlOptions, 'stateDir' | 'waypointThreads' | 'traces' | 'accessLogFormat'>,
  runDir: string,
): Promise<WaypointRunner> {
  const dir = waypointsDirectory(runDir);
  const rootFile = waypointRootPath(runDir);
  // Of the control plane's directories a waypoint sees its own alone: neither the authority's key nor sockets that make tokens.
  const view = { hidden: [resolve(stateDir), runDir], kept: dir };
  return processRunner({
    agent: agentClient(agentSocket),
    processes: {
      launch(sandbox, command, logFile, ended) {
        return launchDetached(sandbox, command, { rights: WAYPOINT_RIGHTS, logFile, ...view }, ended);
      },
      forgetLog: (file) => rmSync(file, { force: true }),
      startTimeOf,
      signal: signalProcess,
    },
    store: await openStateDirectory(dir, { kind: 'waypoints' }),
    dir,
    logFileOf: (waypoint) => waypointLogPath(resolve(stateDir), waypoint),
    weft: [process.execPath, ...partFlags(), WEFT_PROGRAM], // this program again
    controlAddress: `unix:${discoverySocketPath(runDir)}`,
    rootFile,
    threads,
    traces,
    accessLogFormat,
    clock: systemClock,
  });
}
