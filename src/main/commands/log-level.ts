import { existsSync } from 'node:fs';
import { changeLevels, formatLevels, type LogLevelOptions, type Teller } from '#cli/log-level.ts';
import { showProgress } from '#main/commands/progress.ts';
import type { LogLevel } from '#model/telemetry/log-level.ts';
import { waypointSocketsBelow } from '#platform/files/mesh-traces.ts';
import { agentsBelow } from '#platform/files/run-dir.ts';
import { agentClient, controlClient, waypointLogLevel } from '#platform/local-api/clients.ts';
import type { LogLevelStatus } from '#protocol/api/log-level.ts';
import { controlSocketPath } from '#protocol/api/places.ts';

/** `weft log-level`: 1 when a part did not answer. Errors: WEFT_NOT_RUNNING, WEFT_NO_COMPONENT, WEFT_NOT_ROOT. */
export async function logLevel({ changes, runDir, output }: LogLevelOptions): Promise<number> {
  const levels = await showProgress('asking the parts of the mesh', () => changeLevels(changes, tellersBelow(runDir)));
  process.stdout.write(await formatLevels(levels, output));
  return levels.some(({ error }) => error !== null) ? 1 : 0;
}

/** Every part of this machine with a socket below the run directory. */
function tellersBelow(runDir: string): Teller[] {
  const socket = controlSocketPath(runDir);
  const control = existsSync(socket) ? [teller('control', controlClient(socket).logLevel)] : [];
  const agents = agentsBelow(runDir).map(({ node, socketPath }) => teller(`agent/${node}`, agentClient(socketPath).logLevel));
  const waypoints = waypointSocketsBelow(runDir).map(({ waypoint, path }) =>
    teller(`waypoint/${waypoint}`, (level) => waypointLogLevel(path, level)),
  );
  return [...control, ...agents, ...waypoints];
}

function teller(name: string, ask: (level?: LogLevel) => Promise<LogLevelStatus>): Teller {
  return { name, level: async () => (await ask()).level, setLevel: async (level) => (await ask(level)).level };
}
