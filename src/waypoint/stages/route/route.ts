import type { Random } from '#model/effects/clock.ts';
import { unreachable } from '#model/error.ts';
import { chooseTarget } from '#model/routing/backends.ts';
import type { RouteRule } from '#model/routing/candidate.ts';
import type { HeaderEdits } from '#model/routing/header-edits.ts';
import { compileRoutes, matchRoute, routesOfPort } from '#model/routing/route-table.ts';
import type { HeaderBlock } from '#protocol/http/header-block.ts';
import type { Exchange, ExchangeTarget } from '#waypoint/exchange/exchange.ts';
import { REPLY } from '#waypoint/exchange/local-reply.ts';
import { NEXT, replyWith, type Stage, type StageParts, type StageResult } from '#waypoint/exchange/stage.ts';

/** Shared, since it says nothing but its kind. */
const WORKLOAD: ExchangeTarget = { kind: 'workload' };

/** Finds the rule that applies and draws one of its backends (config-api 1.6-1.12). */
export function routeStage({ effects: { random }, state }: StageParts): Stage {
  const tables = state.bindings.keep({ make: ({ config, problem }) => compileRoutes(config.routes, problem) });
  return {
    name: 'route',
    request(exchange) {
      const { destination, client } = exchange.connection;
      // Routes attach to services: whoever dials a workload's own address gets that workload, under the Gateway's policies.
      if (destination.kind === 'workload') {
        exchange.target = WORKLOAD;
        return NEXT;
      }
      // The binding went away while the connection was open: what its routes would have said is unknown, so nothing is sent.
      if (exchange.bound === null) return replyWith(REPLY.noBinding);
      const routes = routesOfPort(tables.of(exchange.bound), destination.port);
      const decision = matchRoute(routes, client.identity?.namespace ?? null, exchange);
      switch (decision.kind) {
        case 'matched':
          return applyRule(exchange, decision.rule, random);
        // No route is meant for this client: the service itself answers, as without a waypoint.
        case 'unrouted':
          exchange.target = { kind: 'service', service: destination.key, port: destination.port };
          return NEXT;
        case 'not-found':
          return replyWith(REPLY.noRoute);
        default:
          return unreachable(decision);
      }
    },
    response(exchange, head, local) {
      const edits = exchange.route?.responseHeaders;
      // A route speaks for its backends, not for us: our refusals stay recognisable.
      if (!local && edits !== null && edits !== undefined) applyEdits(head.headers, edits);
    },
  };
}

function applyRule(exchange: Exchange, rule: RouteRule, random: Random): StageResult {
  exchange.route = rule;
  const target = chooseTarget(rule.targets, random());
  if (target.kind === 'invalid') return replyWith(target.why === 'unresolved' ? REPLY.invalidBackend : REPLY.noBackend);
  exchange.target = target;
  if (rule.requestHeaders !== null) {
    applyEdits(exchange.request.headers, rule.requestHeaders);
    exchange.authority = rule.requestHeaders.authority ?? exchange.authority;
  }
  return NEXT;
}

function applyEdits(headers: HeaderBlock, edits: HeaderEdits): void {
  // What is set can still be added to, and removal has the last word (docs/rules/waypoint.md).
  for (const { name, value } of edits.set) headers.set(name, value);
  for (const { name, value } of edits.add) headers.add(name, value);
  for (const name of edits.remove) headers.remove(name);
}
