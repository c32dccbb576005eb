import { type DryRunVerdict, evaluate, evaluateDryRun, type PolicySet, type PolicyVerdict } from '#model/policy/l7/policy-set.ts';
import { policyFacts } from '#waypoint/connection-facts.ts';
import type { Exchange } from '#waypoint/exchange.ts';
import type { Snapshot } from '#waypoint/snapshot.ts';

/** What the policies of `snapshot` say of a request; null when its service is not bound to this waypoint. */
export function authorizeExchange(exchange: Exchange, snapshot: Snapshot): PolicyVerdict | null {
  const policies = policiesOf(exchange, snapshot);
  return policies === null ? null : evaluate(policies, policyFacts(exchange.connection, exchange));
}

/** What the policies in dry run would say; null when there are none. */
export function dryRunExchange(exchange: Exchange): DryRunVerdict | null {
  const policies = policiesOf(exchange, exchange.snapshot);
  return policies === null || policies.dryRun === null
    ? null
    : evaluateDryRun(policies, policyFacts(exchange.connection, exchange));
}

function policiesOf({ connection: { destination } }: Exchange, snapshot: Snapshot): PolicySet | null {
  return destination.kind === 'workload' ? snapshot.workloadPolicies : (snapshot.services.get(destination.key)?.policies ?? null);
}
