import type { DryRunVerdict } from '#model/policy/l7.ts';
import { UNKNOWN } from '#model/telemetry/labels.ts';
import { authorizeExchange, dryRunExchange, type Exchange } from '#waypoint/exchange/exchange.ts';
import { deniedReply, REPLY } from '#waypoint/exchange/local-reply.ts';
import { NEXT, replyWith, type Stage, type StageParts } from '#waypoint/exchange/stage.ts';

/** Asks the authorization policies of the Gateway and of the service (docs/rules/waypoint.md). */
export function authorizeStage(parts: StageParts): Stage {
  return {
    name: 'authorize',
    request(exchange) {
      exchange.verdict = authorizeExchange(exchange, exchange.snapshot);
      // The binding went away while the connection was open.
      if (exchange.verdict === null) return replyWith(REPLY.noBinding);
      const dryRun = dryRunExchange(exchange);
      if (dryRun !== null) reportDryRun(exchange, dryRun, parts);
      if (exchange.verdict.kind === 'allow') return NEXT;
      const { by } = exchange.verdict;
      return replyWith(deniedReply(by === null ? null : `${by.policy}#${by.index}`));
    },
  };
}

/** One line and one count for each side of the policies in dry run that says something. */
function reportDryRun(exchange: Exchange, { deny, allow }: DryRunVerdict, { effects: { log }, telemetry }: StageParts): void {
  const decisions = [
    ...(deny === null ? [] : [{ decision: 'deny', by: deny }]),
    ...(allow === null ? [] : [{ decision: allow.kind, by: allow.by }]),
  ];
  for (const { decision, by } of decisions) {
    const policy = by?.policy ?? UNKNOWN; // no ALLOW policy in dry run matched, so none has decided
    telemetry.meters.counter('weft_dry_run_decisions_total', { policy, decision, layer: 'request' }).add();
    log.info({ request_id: exchange.requestId, decision, policy, rule: by?.index }, 'a policy in dry run would have decided');
  }
}
