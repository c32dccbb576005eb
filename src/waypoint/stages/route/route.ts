import { unreachable } from '#model/error.ts';
import { compileRoutes, matchRoute, routesOfPort } from '#model/routing/route-table.ts';
import type { ExchangeTarget } from '#waypoint/exchange/exchange.ts';
import { REPLY } from '#waypoint/exchange/local-reply.ts';
import { NEXT, replyWith, type Stage, type StageParts } from '#waypoint/exchange/stage.ts';

/** Shared, since it says nothing but its kind. */
const WORKLOAD: ExchangeTarget = { kind: 'workload' };

/** Finds the rule that applies (config-api 1.6-1.12); what the rule does with the request is for the stages after it. */
export function routeStage({ state }: StageParts): Stage {
  const tables = state.bindings.keep({ make: ({ config, problem }) => compileRoutes(config.routes, problem, config.subsets) });
  return {
    name: 'route',
    request(exchange) {
      const { destination } = exchange.connection;
      // Routes attach to services: whoever dials a workload's own address gets that workload, under the Gateway's policies.
      if (destination.kind === 'workload') {
        exchange.target = WORKLOAD;
        return NEXT;
      }
      // The binding went away while the connection was open: what its routes would have said is unknown, so nothing is sent.
      if (exchange.bound === null) return replyWith(REPLY.noBinding);
      const routes = routesOfPort(tables.of(exchange.bound), destination.port);
      const decision = matchRoute(routes, exchange);
      switch (decision.kind) {
        case 'matched':
          exchange.route = decision.rule;
          return NEXT;
        // No route is meant for this client: the service itself answers, as without a waypoint.
        case 'unrouted':
          exchange.target = { kind: 'service', service: destination.key, port: destination.port, subset: null, edits: null };
          return NEXT;
        case 'not-found':
          return replyWith(REPLY.noRoute);
        default:
          return unreachable(decision);
      }
    },
  };
}
