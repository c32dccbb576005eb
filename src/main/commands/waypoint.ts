import type { WaypointOptions } from '#cli/control.ts';
import { controlEndpoint } from '#main/commands/control-access.ts';
import { weftVersion } from '#main/commands/version.ts';
import { startWaypoint } from '#main/waypoint/waypoint-process.ts';
import { serve } from '#platform/linux/process/service.ts';
import { requireRoot } from '#platform/preflight/preflight.ts';
import { commandLog } from '#platform/telemetry/command-log.ts';

/** `weft waypoint`. */
export async function waypoint({ control, ...options }: WaypointOptions): Promise<number> {
  requireRoot("reading the node's maps");
  const endpoint = controlEndpoint(control);
  const log = commandLog('waypoint');
  return serve(() => startWaypoint({ ...options, control: endpoint, version: weftVersion(), log }));
}
