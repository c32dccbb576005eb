import type { Stage } from '#waypoint/exchange/stage.ts';
import type { Counters } from '#waypoint/self/counters.ts';
import type { WaypointEffects } from '#waypoint/self/effects.ts';
import { authorizeStage } from '#waypoint/stages/authorize/authorize.ts';
import { balanceStage } from '#waypoint/stages/balance/balance.ts';
import { identifyStage } from '#waypoint/stages/identify/identify.ts';
import { recordStage } from '#waypoint/stages/record/record.ts';
import { resilienceStage } from '#waypoint/stages/resilience/resilience.ts';
import { routeStage } from '#waypoint/stages/route/route.ts';
import { transportStage } from '#waypoint/stages/transport/transport.ts';
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
