import type { AttemptDecision } from '#model/resilience/attempts.ts';
import { answered, type Observation } from '#model/resilience/outlier.ts';
import type { UpstreamProblem } from '#protocol/http/message.ts';
import type { Attempt } from '#waypoint/exchange/attempt.ts';
import type { Stage } from '#waypoint/exchange/stage.ts';

/** This stage only looks on. */
const NO_DECISION: AttemptDecision = { kind: 'give-up', why: 'not-allowed' };

/** Tells clusters how each try went, so that they leave endpoints out that fail (W55). Answers of our own say nothing of one. */
export function outlierStage(): Stage {
  return {
    name: 'outlier',
    attemptAnswered(exchange, attempt, { status, headers }) {
      if (attempt.cluster !== null) tell(attempt, answered(status, exchange.isGrpc ? headers.get('grpc-status') : null));
      return NO_DECISION;
    },
    attemptFailed(_exchange, attempt, problem) {
      const seen = attempt.cluster === null ? null : observationOf(problem);
      if (seen !== null) tell(attempt, seen);
      return NO_DECISION;
    },
    attemptEnd(exchange, attempt) {
      // The route's time was over, not that of the try alone.
      if (attempt.cluster !== null && attempt.outcome === 'under-way' && exchange.flag === 'UT')
        tell(attempt, { kind: 'local', status: 504 });
    },
  };
}

function tell({ cluster, endpoint }: Attempt, seen: Observation): void {
  if (endpoint !== null) cluster?.observe(endpoint, seen);
}

/** Null: it is not the endpoint's doing. */
function observationOf({ kind, staleConnection }: UpstreamProblem): Observation | null {
  switch (kind) {
    case 'local-reset':
    case 'overflow':
      return null;
    case 'too-slow':
    case 'connect-timeout':
      return { kind: 'local', status: 504 };
    default:
      // Every server may end a connection that nobody uses.
      return staleConnection ? null : { kind: 'local', status: 503 };
  }
}
