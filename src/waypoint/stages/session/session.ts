import { cookieValue, readSession, type Session, sessionCookie, sessionToken, writeSession } from '#model/balancing/session.ts';
import type { WeightedTargets } from '#model/routing/backends.ts';
import type { HttpSession } from '#model/waypoint/filters.ts';
import type { Exchange, Pinned } from '#waypoint/exchange/exchange.ts';
import { NEXT, type Stage, type StageParts } from '#waypoint/exchange/stage.ts';
import { familyFor, type Upstreams } from '#waypoint/upstream/upstreams.ts';

/**
 * Sends the requests of one session to one endpoint. The client brings back what stands for it, so that any waypoint knows it
 * again and nothing is kept here. An endpoint that has left is replaced by another, and the client is told.
 */
export function sessionStage({ effects: { clock }, perExchange, state, upstreams }: StageParts): Stage {
  const brought = perExchange.add<Session>();
  // Hashed once for each endpoint.
  const tokens = state.perEndpoint.keep({ make: ({ workload, ip, port }) => sessionToken(`${workload.uid} ${ip} ${port}`) });
  return {
    name: 'session',
    request(exchange) {
      const { route } = exchange;
      if (route === null || route.session === null) return NEXT;
      const session = readSession(broughtBy(exchange, route.session), clock.nowMs());
      if (session === null) return NEXT;
      brought.set(exchange, session);
      exchange.pinned = pinnedBy(session.token, exchange, route.targets, { upstreams, tokenOf: (one) => tokens.of(one) });
      return NEXT;
    },
    response(exchange, { headers }, local) {
      const { route, attempt } = exchange;
      if (local || route === null || route.session === null || attempt === null || attempt.endpoint === null) return;
      const token = tokens.of(attempt.endpoint);
      const before = brought.peek(exchange);
      // It knows already.
      if (before?.token === token) return;
      const { absoluteTimeoutMs, carrier, name } = route.session;
      const nowMs = clock.nowMs();
      // Another endpoint does not make the session last longer.
      const endsMs = before?.endsMs ?? (absoluteTimeoutMs === null ? null : nowMs + absoluteTimeoutMs);
      const session = { token, endsMs };
      if (carrier === 'cookie') headers.add('set-cookie', sessionCookie(route.session, session, nowMs));
      else headers.set(name.toLowerCase(), writeSession(session));
    },
  };
}

/** What the client says; null when it says nothing. */
function broughtBy({ request: { headers } }: Exchange, { carrier, name }: HttpSession): string | null {
  return carrier === 'cookie' ? cookieValue(headers.values('cookie'), name) : headers.get(name.toLowerCase());
}

/** How tokens are compared with endpoints. */
type Known = { readonly upstreams: Upstreams; tokenOf(endpoint: Pinned['endpoint']): string };

/** The endpoint of one of the rule's backends that the token stands for; null when none of them does. */
function pinnedBy(
  token: string,
  { connection: { destination } }: Exchange,
  { shares }: WeightedTargets,
  { upstreams, tokenOf }: Known,
): Pinned | null {
  for (const { target } of shares) {
    if (target.kind !== 'service') continue;
    const service = upstreams.service(target.service, target.port, familyFor(destination.address), target.subset);
    const endpoint = service?.set.endpoints.find((one) => tokenOf(one) === token);
    if (endpoint !== undefined) return { target, endpoint };
  }
  return null;
}
