import type { Counters } from '#waypoint/counters.ts';
import type { WaypointEffects } from '#waypoint/effects.ts';
import { authorizeStage } from '#waypoint/stages/authorize.ts';
import { balanceStage } from '#waypoint/stages/balance.ts';
import { identifyStage } from '#waypoint/stages/identify.ts';
import { recordStage } from '#waypoint/stages/record.ts';
import { resilienceStage } from '#waypoint/stages/resilience.ts';
import { routeStage } from '#waypoint/stages/route.ts';
import type { Stage } from '#waypoint/stages/stage.ts';
import { transportStage } from '#waypoint/stages/transport.ts';
import type { Upstreams } from '#waypoint/upstream/upstreams.ts';

/** What every request passes, in this order (DESIGN section 6). */
export function stageList(effects: WaypointEffects, upstreams: Upstreams, counters: Counters): readonly Stage[] {
  return [
    identifyStage(effects),
    authorizeStage(effects.log),
    routeStage(effects.random),
    resilienceStage(effects.clock),
    balanceStage(upstreams, effects.random),
    transportStage(upstreams),
    recordStage(effects, counters),
  ];
}
