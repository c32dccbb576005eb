import { WeftError } from '#model/error.ts';
import type { DemoMesh } from '#testbed/mesh/demo-mesh.ts';
import type { BpfObject } from '#testbed/observe/bpf-objects.ts';
import { within } from '#testbed/wait.ts';
import { agentCrash } from './agent-crash.ts';
import { badYaml } from './bad-yaml.ts';
import { bystander } from './bystander.ts';
import type { Check, CheckResult } from './check.ts';
import { CheckFailure } from './check.ts';
import { cleanup } from './cleanup.ts';
import { controlAway } from './control-away.ts';
import { denied } from './denied.ts';
import { direct } from './direct.ts';
import { dns } from './dns.ts';
import { hbone } from './hbone.ts';
import { passthrough } from './passthrough.ts';
import { plaintext } from './plaintext.ts';
import { policyChange } from './policy-change.ts';
import { waypoint } from './waypoint.ts';

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
