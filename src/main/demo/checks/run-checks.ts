import { agentCrash } from '#main/demo/checks/agent-crash.ts';
import { badYaml } from '#main/demo/checks/bad-yaml.ts';
import { bystander } from '#main/demo/checks/bystander.ts';
import type { Check, CheckResult } from '#main/demo/checks/check.ts';
import { CheckFailure } from '#main/demo/checks/check.ts';
import { cleanup } from '#main/demo/checks/cleanup.ts';
import { controlAway } from '#main/demo/checks/control-away.ts';
import { denied } from '#main/demo/checks/denied.ts';
import { direct } from '#main/demo/checks/direct.ts';
import { dns } from '#main/demo/checks/dns.ts';
import { hbone } from '#main/demo/checks/hbone.ts';
import { passthrough } from '#main/demo/checks/passthrough.ts';
import { plaintext } from '#main/demo/checks/plaintext.ts';
import { policyChange } from '#main/demo/checks/policy-change.ts';
import { waypoint } from '#main/demo/checks/waypoint.ts';
import type { DemoMesh } from '#main/demo/mesh/demo-mesh.ts';
import type { BpfObject } from '#main/demo/observe/bpf-objects.ts';
import { within } from '#main/demo/wait.ts';
import { WeftError } from '#model/error.ts';

/** All checks in the order they run; the last one takes the mesh down. */
export function allChecks(before: readonly BpfObject[] | null): Check[] {
  return [
    direct,
    hbone,
    denied,
    policyChange,
    waypoint,
    plaintext,
    dns,
    passthrough,
    bystander,
    agentCrash,
    controlAway,
    badYaml,
    cleanup(before),
  ];
}

/** Runs the checks one after another, each within its time; `tell` hears each result. Stops early when `signal` is aborted. */
export async function runChecks(
  mesh: DemoMesh,
  checks: readonly Check[],
  tell: (result: CheckResult, elapsedMs: number) => void,
  signal: AbortSignal,
): Promise<CheckResult[]> {
  const results: CheckResult[] = [];
  for (const check of checks) {
    if (signal.aborted) break;
    const startedMs = performance.now();
    const result = await runCheck(mesh, check);
    tell(result, performance.now() - startedMs);
    results.push(result);
  }
  return results;
}

async function runCheck(mesh: DemoMesh, { name, path, timeoutMs, run }: Check): Promise<CheckResult> {
  try {
    return { name, path, ok: true, detail: await within(`check ${name}`, timeoutMs, run(mesh)) };
  } catch (error) {
    // What nobody foresaw is told with its kind: the check itself may be at fault.
    const detail = error instanceof CheckFailure || error instanceof WeftError ? error.message : String(error);
    return { name, path, ok: false, detail: detail.replaceAll('\n', ' ') };
  }
}
