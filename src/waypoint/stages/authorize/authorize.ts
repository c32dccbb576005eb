import { authorizeExchange, dryRunExchange } from '#waypoint/exchange/exchange.ts';
import { deniedReply, REPLY } from '#waypoint/exchange/local-reply.ts';
import { NEXT, replyWith, type Stage, type StageParts } from '#waypoint/exchange/stage.ts';

/** Asks the authorization policies of the Gateway and of the service (waypoint-l7 10.1). */
export function authorizeStage({ effects: { log } }: StageParts): Stage {
  return {
    name: 'authorize',
    request(exchange) {
      exchange.verdict = authorizeExchange(exchange, exchange.snapshot);
      // The binding went away while the connection was open.
      if (exchange.verdict === null) return replyWith(REPLY.noBinding);
      const dryRun = dryRunExchange(exchange);
      if (dryRun !== null) log.info({ requestId: exchange.requestId, dryRun }, 'policies in dry run');
      if (exchange.verdict.kind === 'allow') return NEXT;
      const { by } = exchange.verdict;
      return replyWith(deniedReply(by === null ? null : `${by.policy}#${by.index}`));
    },
  };
}
