import { hostname } from 'node:os';
import { type CheckOptions, checkReport, formatCheck } from '#cli/check.ts';
import { examine, type Surveys } from '#cli/examine.ts';
import { paintFor } from '#cli/text-format.ts';
import { holdingOf } from '#main/agent/holding.ts';
import { gather } from '#main/commands/ask.ts';
import { weftVersion } from '#main/commands/control-access.ts';
import { showProgress } from '#main/commands/progress.ts';
import { findResources } from '#main/commands/validate.ts';
import { clusterFindings } from '#model/check/cluster.ts';
import type { CheckFinding } from '#model/check/finding.ts';
import type { Area } from '#model/check/row.ts';
import { realPlace } from '#platform/files/marked-directory.ts';
import { knownNodes, requireNode } from '#platform/files/node-register.ts';
import { surveyListeners } from '#platform/linux/net/listening-sockets.ts';
import { readMachineFacts } from '#platform/preflight/facts.ts';
import { machineProblems } from '#platform/preflight/preflight.ts';
import { surveyCluster } from '#platform/survey/cluster.ts';
import { surveyControl } from '#platform/survey/control.ts';
import { surveyMachine } from '#platform/survey/machine.ts';
import { surveyNetwork } from '#platform/survey/network.ts';
import { surveyLeftovers, surveyLogs, surveyPlace } from '#platform/survey/places.ts';
import { joinsOf, stateDirOf } from '#platform/survey/processes.ts';
import { surveyAuthority, surveyRoot, surveyToken } from '#platform/survey/trust.ts';

/** `weft check`: 1 when a finding is an error. It changes nothing. */
export async function check(options: CheckOptions): Promise<number> {
  const { findings, lookedAt } = await lookAt(options);
  const report = checkReport(findings, lookedAt);
  process.stdout.write(await formatCheck(report, options.output, paintFor(process.stdout.isTTY, process.env)));
  return report.level === 'error' ? 1 : 0;
}

async function lookAt(options: CheckOptions): Promise<{ findings: CheckFinding[]; lookedAt: Set<Area> }> {
  const { kubeconfig } = options;
  if (kubeconfig === null) return showProgress('looking at this machine', () => examine(options, surveysOfThisMachine()));
  const facts = await showProgress('looking at the cluster', () => surveyCluster(kubeconfig, weftVersion(), Date.now()));
  return { findings: clusterFindings(facts), lookedAt: new Set<Area>(['cluster']) };
}

/** This machine, as it is looked at. */
export function surveysOfThisMachine(): Surveys {
  return {
    hostname: hostname(),
    status: gather,
    nothing: () => ({ version: weftVersion(), nowMs: Date.now(), nodes: [], control: { kind: 'absent' } }),
    knownNodes,
    realPlace,
    holdingOf,
    requireNode,
    machineProblems: () => machineProblems(readMachineFacts()),
    machine: surveyMachine,
    network: surveyNetwork,
    listeners: surveyListeners,
    place: surveyPlace,
    logs: surveyLogs,
    authority: surveyAuthority,
    root: surveyRoot,
    token: surveyToken,
    control: surveyControl,
    joinsOf,
    stateDirOf,
    resources: async (directory) => (await findResources([directory])).findings,
    leftovers: surveyLeftovers,
  };
}
