import type { Stage, StageParts } from '#waypoint/exchange/stage.ts';
import { accessTextStage } from '#waypoint/stages/access-text/access-text.ts';
import { authenticateStage } from '#waypoint/stages/authenticate/authenticate.ts';
import { authorizeStage } from '#waypoint/stages/authorize/authorize.ts';
import { balanceStage } from '#waypoint/stages/balance/balance.ts';
import { corsStage } from '#waypoint/stages/cors/cors.ts';
import { externalAuthorizeStage } from '#waypoint/stages/external-authorize/external-authorize.ts';
import { faultStage } from '#waypoint/stages/fault/fault.ts';
import { forwardStage } from '#waypoint/stages/forward/forward.ts';
import { identifyStage } from '#waypoint/stages/identify/identify.ts';
import { mirrorStage } from '#waypoint/stages/mirror/mirror.ts';
import { outlierStage } from '#waypoint/stages/outlier/outlier.ts';
import { rateLimitStage } from '#waypoint/stages/rate-limit/rate-limit.ts';
import { recordStage } from '#waypoint/stages/record/record.ts';
import { resilienceStage } from '#waypoint/stages/resilience/resilience.ts';
import { routeStage } from '#waypoint/stages/route/route.ts';
import { sessionStage } from '#waypoint/stages/session/session.ts';
import { traceStage } from '#waypoint/stages/trace/trace.ts';
import { transportStage } from '#waypoint/stages/transport/transport.ts';

/**
 * What every request passes, in this order. Stages to come have their places: authenticate before
 * authorize; rate-limit, then fault, after cors: they are for requests that are allowed.
 */
const STAGES: readonly ((parts: StageParts) => Stage)[] = [
  // First, so that it sees an answer as it leaves.
  accessTextStage,
  identifyStage,
  traceStage,
  externalAuthorizeStage,
  authenticateStage,
  authorizeStage,
  routeStage,
  corsStage,
  rateLimitStage,
  faultStage,
  sessionStage,
  forwardStage,
  mirrorStage,
  outlierStage,
  resilienceStage,
  balanceStage,
  transportStage,
  recordStage,
];

/** The stages of one waypoint. */
export function stageList(parts: StageParts): readonly Stage[] {
  return STAGES.map((make) => make(parts));
}
