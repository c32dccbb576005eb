import type { WaypointOptions } from '#cli/waypoint.ts';
import { commandLog } from '#main/commands/command-log.ts';
import { controlEndpoint } from '#main/commands/control-access.ts';
import { serve } from '#main/commands/service.ts';
import { weftVersion } from '#main/commands/version.ts';
import { startWaypoint } from '#main/waypoint.ts';
import { requireRoot } from '#platform/preflight/preflight.ts';

/** `weft waypoint`. */
export async function waypoint({ control, ...options }: WaypointOptions): Promise<number> {
  requireRoot("reading the node's maps");
  const endpoint = controlEndpoint(control);
  const log = commandLog('waypoint');
  return serve(() => startWaypoint({ ...options, control: endpoint, version: weftVersion(), log }));
}
