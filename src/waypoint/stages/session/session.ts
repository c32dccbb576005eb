import { cookieValue, readSession, type Session, sessionCookie, sessionToken, writeSession } from '#model/balancing/session.ts';
import type { HttpSession } from '#model/waypoint/filters.ts';
import type { Exchange, ExchangeTarget } from '#waypoint/exchange/exchange.ts';
import { NEXT, type Stage, type StageParts } from '#waypoint/exchange/stage.ts';
import { familyFor } from '#waypoint/upstream/upstreams.ts';

type ServiceTarget = Extract<ExchangeTarget, { kind: 'service' }>;

/** What the client brought, and by what it was read. */
type Brought = { readonly said: HttpSession; readonly session: Session };

/**
 * Sends the requests of one session to one endpoint. The client brings back what stands for it, so that any waypoint knows it
 * again and nothing is kept here. An endpoint that has left is replaced by another, and the client is told.
 */
export function sessionStage({ effects: { clock }, perExchange, state, upstreams, clusters }: StageParts): Stage {
  const brought = perExchange.add<Brought>();
  // Hashed once for each endpoint.
  const tokens = state.perEndpoint.keep({ make: ({ workload, ip, port }) => sessionToken(`${workload.uid} ${ip} ${port}`) });
  // Most services have none of their own, and their requests are to cost nothing.
  const bySettings = state.bindings.keep({
    make: ({ config: { destinations = [] } }) => destinations.some(({ session }) => session !== undefined),
  });
  /** What a rule says goes before what is said of where it leads. */
  const sessionAt = ({ bound, route }: Exchange, { service, port, subset }: ServiceTarget): HttpSession | null =>
    route?.session ?? clusters.of(bound, service, port, subset)?.settings.session ?? null;
  return {
    name: 'session',
    request(exchange) {
      const { bound, route } = exchange;
      if (bound === null || (route?.session == null && !bySettings.of(bound))) return NEXT;
      for (const target of targetsOf(exchange)) {
        const said = sessionAt(exchange, target);
        const session = said === null ? null : readSession(broughtBy(exchange, said), clock.nowMs());
        if (said === null || session === null) continue;
        brought.set(exchange, { said, session });
        const family = familyFor(exchange.connection.destination.address);
        const { endpoints = [] } = upstreams.service(target.service, target.port, family, target.subset)?.set ?? {};
        const endpoint = endpoints.find((one) => tokens.of(one) === session.token);
        if (endpoint === undefined) continue;
        exchange.pinned = { target, endpoint };
        break;
      }
      return NEXT;
    },
    response(exchange, { headers }, local) {
      const { bound, route, attempt, target } = exchange;
      if (local || bound === null || attempt === null || attempt.endpoint === null || target?.kind !== 'service') return;
      const said = route?.session ?? attempt.cluster?.settings.session ?? null;
      if (said === null) return;
      const token = tokens.of(attempt.endpoint);
      const before = brought.peek(exchange);
      const known = before?.said === said ? before.session : null;
      // It knows already.
      if (known?.token === token) return;
      const { absoluteTimeoutMs, carrier, name } = said;
      const nowMs = clock.nowMs();
      // Another endpoint does not make the session last longer.
      const endsMs = known?.endsMs ?? (absoluteTimeoutMs === null ? null : nowMs + absoluteTimeoutMs);
      const session = { token, endsMs };
      if (carrier === 'cookie') headers.add('set-cookie', sessionCookie(said, session, nowMs));
      else headers.set(name.toLowerCase(), writeSession(session));
    },
  };
}

/** What the client says; null when it says nothing. */
function broughtBy({ request: { headers } }: Exchange, { carrier, name }: HttpSession): string | null {
  return carrier === 'cookie' ? cookieValue(headers.values('cookie'), name) : headers.get(name.toLowerCase());
}

/** Where a request may go: to the backends of its rule, or else to what was dialled. */
function targetsOf({ route, target }: Exchange): readonly ServiceTarget[] {
  if (route === null) return target?.kind === 'service' ? [target] : [];
  return route.targets.shares.flatMap(({ target: one }) => (one.kind === 'service' ? [one] : []));
}
