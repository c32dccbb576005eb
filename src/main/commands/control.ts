import { mkdirSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { ControlOptions } from '#cli/control.ts';
import { startControl } from '#main/control/control-process.ts';
import { waypointRunner } from '#main/control/waypoint-runner.ts';
import { relayToControl } from '#platform/grpc/control-relay.ts';
import { serve } from '#platform/process/service.ts';
import { commandLog } from '#platform/telemetry/command-log.ts';
import { discoverySocketPath, waypointsDirectory } from '#protocol/api/places.ts';

/** `weft control`. Its waypoints outlive it, and the next control plane adopts them. */
export async function control(options: ControlOptions): Promise<number> {
  const log = commandLog('control');
  const runDir = dirname(resolve(options.socket));
  mkdirSync(runDir, { recursive: true, mode: 0o700 });
  return serve(async () => {
    const running = await startControl({
      configDir: options.config,
      stateDir: options.stateDir,
      listen: options.listen,
      serverNames: options.serverNames,
      trustDomain: options.trustDomain,
      socketPath: options.socket,
      waypointRunner: options.waypointAgent === null ? null : runnerFor(options.waypointAgent, options.stateDir, runDir),
      log,
    });
    const stopRelay =
      options.waypointAgent === null ? () => {} : await relayToControl(discoverySocketPath(runDir), running.address);
    return {
      async stop() {
        stopRelay();
        await running.stop({ waypoints: false });
      },
      ended: running.stopped,
    };
  });
}

function runnerFor(agentSocket: string, stateDir: string, runDir: string): ReturnType<typeof waypointRunner> {
  return waypointRunner({
    agentSocket,
    controlAddress: `unix:${discoverySocketPath(runDir)}`,
    rootFile: join(resolve(stateDir), 'root-cert.pem'),
    dir: waypointsDirectory(runDir),
  });
}
