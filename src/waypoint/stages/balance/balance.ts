import { fractionOf, hashOf } from '#model/balancing/consistent-hash.ts';
import { type EndpointSet, pickLeastLoaded } from '#model/balancing/least-request.ts';
import type { Random } from '#model/effects/clock.ts';
import { WAYPOINT } from '#model/settings/waypoints.ts';
import type { Attempt } from '#waypoint/exchange/attempt.ts';
import type { Exchange } from '#waypoint/exchange/exchange.ts';
import { noHealthyUpstream, OVERFLOW, REPLY } from '#waypoint/exchange/local-reply.ts';
import { NEXT, replyWith, type Stage, type StageParts, type StageResult } from '#waypoint/exchange/stage.ts';
import type { UpstreamEndpoint } from '#waypoint/state/kept.ts';
import type { Cluster } from '#waypoint/upstream/cluster.ts';
import type { Clusters } from '#waypoint/upstream/clusters.ts';
import { familyFor, type Upstreams } from '#waypoint/upstream/upstreams.ts';
import { upstreamVersion } from '#waypoint/upstream/version.ts';
import { hashCookie, requestHash } from './request-hash.ts';

/** Chooses the endpoint of each try, and the HTTP version it is spoken to in. */
export function balanceStage({ upstreams, clusters, perExchange, effects: { random, randomBytes } }: StageParts): Stage {
  // Of clients that came without the cookie that their destination goes by.
  const cookies = perExchange.add<string>();
  const newCookie = (exchange: Exchange): string => {
    const value = cookies.peek(exchange) ?? Buffer.from(randomBytes(WAYPOINT.hashCookieBytes)).toString('hex');
    cookies.set(exchange, value);
    return value;
  };
  return {
    name: 'balance',
    attempt(exchange, attempt) {
      const result = choose(exchange, attempt, { upstreams, clusters, random, newCookie });
      if (attempt.endpoint !== null) attempt.endpoint.active++;
      return result;
    },
    response(exchange, { headers }, local) {
      const balancer = exchange.attempt?.cluster?.settings.balancer;
      if (local || balancer?.kind !== 'hash' || balancer.key.kind !== 'cookie') return;
      const value = cookies.peek(exchange);
      if (value !== null) headers.add('set-cookie', hashCookie(balancer.key, value));
    },
    attemptEnd(_exchange, { endpoint, cluster }) {
      if (endpoint !== null) endpoint.active--;
      cluster?.leave();
    },
  };
}

type Choosing = {
  readonly upstreams: Upstreams;
  readonly clusters: Clusters;
  readonly random: Random;
  newCookie(exchange: Exchange): string;
};

function choose(exchange: Exchange, attempt: Attempt, choosing: Choosing): StageResult {
  const { upstreams, clusters } = choosing;
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
    // What is kept together stays in one locality as well.
    const draw = (): number => {
      const hash = hashFor(attempt.cluster, exchange, choosing);
      return hash === null ? choosing.random() : fractionOf(hash);
    };
    const set = attempt.cluster?.usable(service, draw) ?? service.set;
    attempt.endpoint = pinnedOf(exchange, attempt) ?? pickOther(set, exchange, attempt, choosing);
    attempt.version = upstreamVersion(service.appProtocol, request);
  } else if (destination.kind === 'workload') {
    attempt.endpoint = upstreams.workload(destination.workload, destination.address, destination.port);
    // A bare workload declares no protocol: it is spoken to as the client speaks.
    attempt.version = upstreamVersion('unknown', request);
  }
  return attempt.endpoint === null ? replyWith(noHealthyUpstream(exchange)) : NEXT;
}

/**
 * One that no try of the request went to, if there is one: of two endpoints the one that could not be reached would be drawn again half the time
 * (Istio: previous_hosts, five draws).
 */
function pickOther(
  set: EndpointSet<UpstreamEndpoint>,
  exchange: Exchange,
  attempt: Attempt,
  choosing: Choosing,
): UpstreamEndpoint | null {
  const { cluster } = attempt;
  const { random } = choosing;
  const hash = hashFor(cluster, exchange, choosing);
  const before = attempt.number - 1;
  for (let draw = 0; ; draw++) {
    const endpoint = cluster === null ? pickLeastLoaded(set, random) : cluster.pick(set, random, hash, before + draw);
    if (endpoint === null || draw === WAYPOINT.otherEndpointDraws || !wasTried(attempt, endpoint)) return endpoint;
  }
}

/** Null where nothing is kept together. A client without the cookie gets one, where its destination says how long it is to last. */
function hashFor(cluster: Cluster | null, exchange: Exchange, { newCookie }: Choosing): number | null {
  const balancer = cluster?.settings.balancer;
  if (balancer?.kind !== 'hash') return null;
  const { key } = balancer;
  const hash = requestHash(key, exchange);
  return hash === null && key.kind === 'cookie' && key.ttlS !== null ? hashOf(newCookie(exchange)) : hash;
}

/** Where the session leads, for the first try, and unless that endpoint fails. */
function pinnedOf({ pinned }: Exchange, { previous, cluster }: Attempt): UpstreamEndpoint | null {
  if (previous !== null || pinned === null || cluster?.isEjected(pinned.endpoint) === true) return null;
  return pinned.endpoint;
}

/** Whether a try before this one went there. */
function wasTried({ previous }: Attempt, endpoint: UpstreamEndpoint): boolean {
  for (let before = previous; before !== null; before = before.previous) if (before.endpoint === endpoint) return true;
  return false;
}
