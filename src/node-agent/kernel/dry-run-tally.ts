import { familyOf } from '#model/address/ip.ts';
import type { Log } from '#model/effects/log.ts';
import type { MeshDelta } from '#model/mesh/mesh-state.ts';
import type { Workload } from '#model/mesh/workload.ts';
import { connectionOf, dryRunL4, type L4DryRun, type L4Policies, widenedRules } from '#model/policy/l4.ts';
import type { ReportEffects } from '#node-agent/effects/agent-effects.ts';

type Tallied = {
  readonly run: L4DryRun;
  pairs: number;
  readonly source: Workload;
  readonly destination: Workload;
  readonly port: number;
};

/**
 * What policies in dry run would do to pairs of workloads whose connections the kernel carries: no process of ours sees
 * those, so the pairs are told when their verdicts are written, one line for each policy and decision.
 */
export class DryRunTally {
  readonly #tallied = new Map<string, Tallied>();

  /** One pair and port; `set`: the policies in force for the destination. */
  add(set: L4Policies, source: Workload, destination: Workload, port: number): void {
    if (!set.policies.some(({ dryRun }) => dryRun)) return;
    const ip = destination.addresses.find((one) => sameFamily(source, one) !== undefined);
    const sourceIp = ip === undefined ? undefined : sameFamily(source, ip);
    if (ip === undefined || sourceIp === undefined) return;
    for (const run of dryRunL4(set, connectionOf(source, sourceIp, { ip, port }))) {
      const key = `${run.policy} ${run.rule} ${run.decision}`;
      const known = this.#tallied.get(key);
      if (known !== undefined) known.pairs++;
      else this.#tallied.set(key, { run, pairs: 1, source, destination, port });
    }
  }

  /** Writes a line for each policy and decision, with the first pair as an example, and counts the pairs. */
  report({ log, meters }: Pick<ReportEffects, 'log' | 'meters'>): void {
    for (const { run, pairs, source, destination, port } of this.#tallied.values()) {
      const { policy, decision, rule } = run;
      meters.counter('weft_dry_run_decisions_total', { policy, decision, layer: 'pair' }).add(pairs);
      log.info(
        {
          policy,
          decision,
          ...(rule === null ? {} : { rule }),
          pairs,
          'src.workload': source.name,
          'src.namespace': source.namespace,
          'dst.workload': destination.name,
          'dst.namespace': destination.namespace,
          port,
        },
        'a policy in dry run would have decided for connections that the kernel carries; first pair shown',
      );
    }
  }
}

function sameFamily(workload: Workload, like: Workload['addresses'][number]) {
  return workload.addresses.find((ip) => familyOf(ip) === familyOf(like));
}

/** A line for each rule that denies more than was written. An istiod tells its author of none; our control plane does. */
export function tellWidened(policies: MeshDelta['policies'], log: Log): void {
  for (const [policy, authorization] of policies)
    for (const rule of authorization === null ? [] : widenedRules(authorization))
      log.warn({ policy, rule }, 'a DENY rule asks for what only a request shows: it denies without regard to that');
}
