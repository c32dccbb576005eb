import { pickLeastLoaded } from '#model/balancing/least-request.ts';
import type { Random } from '#model/effects/clock.ts';
import { WAYPOINT } from '#model/settings/waypoints.ts';
import type { Attempt } from '#waypoint/exchange/attempt.ts';
import type { Exchange } from '#waypoint/exchange/exchange.ts';
import { noHealthyUpstream, OVERFLOW, REPLY } from '#waypoint/exchange/local-reply.ts';
import { NEXT, replyWith, type Stage, type StageParts, type StageResult } from '#waypoint/exchange/stage.ts';
import type { UpstreamEndpoint } from '#waypoint/state/kept.ts';
import type { Clusters } from '#waypoint/upstream/clusters.ts';
import { familyFor, type Upstreams } from '#waypoint/upstream/upstreams.ts';
import { upstreamVersion } from '#waypoint/upstream/version.ts';

/** Chooses the endpoint of each try, and the HTTP version it is spoken to in. */
export function balanceStage({ upstreams, clusters, effects: { random } }: StageParts): Stage {
  return {
    name: 'balance',
    attempt(exchange, attempt) {
      const result = choose(exchange, attempt, { upstreams, clusters, random });
      if (attempt.endpoint !== null) attempt.endpoint.active++;
      return result;
    },
    attemptEnd(_exchange, { endpoint, cluster }) {
      if (endpoint !== null) endpoint.active--;
      cluster?.leave();
    },
  };
}

type Choosing = { readonly upstreams: Upstreams; readonly clusters: Clusters; readonly random: Random };

function choose(exchange: Exchange, attempt: Attempt, { upstreams, clusters, random }: Choosing): StageResult {
  const { target, connection, request } = exchange;
  if (target?.kind === 'service') {
    const cluster = clusters.of(exchange.bound, target.service, target.port, target.subset);
    if (cluster?.enter(attempt.previous === null) === false) return replyWith(OVERFLOW);
    attempt.cluster = cluster;
  }
  const { destination } = connection;
  // Drawn once already: the endpoint did nothing wrong, only an idle connection to it had ended.
  if (attempt.sameEndpoint !== null) {
    attempt.endpoint = attempt.sameEndpoint;
    attempt.version = attempt.previous?.version ?? attempt.version;
  } else if (target?.kind === 'service') {
    // The family that the client dialled first: an endpoint may listen on one family only.
    const service = upstreams.service(target.service, target.port, familyFor(destination.address), target.subset);
    if (service === null) return replyWith(REPLY.invalidBackend);
    const set = attempt.cluster?.usable(service.set) ?? service.set;
    attempt.endpoint = pinnedOf(exchange, attempt) ?? pickLeastLoaded(set, random);
    // Of two endpoints the one that could not be reached would be drawn again half the time (Istio: previous_hosts, five draws).
    for (let draw = 0; draw < WAYPOINT.otherEndpointDraws && wasTried(attempt); draw++)
      attempt.endpoint = pickLeastLoaded(set, random);
    attempt.version = upstreamVersion(service.appProtocol, request);
  } else if (destination.kind === 'workload') {
    attempt.endpoint = upstreams.workload(destination.workload, destination.address, destination.port);
    // A bare workload declares no protocol: it is spoken to as the client speaks.
    attempt.version = upstreamVersion('unknown', request);
  }
  return attempt.endpoint === null ? replyWith(noHealthyUpstream(exchange)) : NEXT;
}

/** Where the session leads, for the first try, and unless that endpoint fails. */
function pinnedOf({ pinned }: Exchange, { previous, cluster }: Attempt): UpstreamEndpoint | null {
  if (previous !== null || pinned === null || cluster?.isEjected(pinned.endpoint) === true) return null;
  return pinned.endpoint;
}

/** Whether a try before this one went to the same endpoint. */
function wasTried({ endpoint, previous }: Attempt): boolean {
  for (let before = previous; before !== null; before = before.previous) if (before.endpoint === endpoint) return true;
  return false;
}
