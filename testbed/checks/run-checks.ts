import { writeFile } from 'node:fs/promises';
import { formatTable } from '#cli/text-format.ts';
import { WeftError } from '#model/error.ts';
import type { Bookshop } from '#testbed/apps/bookshop.ts';
import type { BpfObject } from '#testbed/observers/bpf-objects.ts';
import { within } from '#testbed/processes/wait.ts';
import { denied, plaintext } from './access.ts';
import { agentCrash } from './agent-crash.ts';
import { badYaml } from './bad-yaml.ts';
import { type Check, CheckFailure, type CheckResult } from './check.ts';
import { cleanup } from './cleanup.ts';
import { controlAway } from './control-away.ts';
import { dns } from './dns.ts';
import { bystander, direct, passthrough } from './kernel-paths.ts';
import { policyChange } from './policy-change.ts';
import { hbone, waypoint } from './proxied-paths.ts';
import { seen } from './seen.ts';

/** All checks in the order they run; the last one takes the mesh down. */
export function allChecks(before: readonly BpfObject[] | null): Check[] {
  return [
    direct,
    hbone,
    seen,
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
  mesh: Bookshop,
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

async function runCheck(mesh: Bookshop, { name, path, timeoutMs, run }: Check): Promise<CheckResult> {
  try {
    return { name, path, ok: true, detail: await within(`check ${name}`, timeoutMs, run(mesh)) };
  } catch (error) {
    // What nobody foresaw is told with its kind: the check itself may be at fault.
    const detail = error instanceof CheckFailure || error instanceof WeftError ? error.message : String(error);
    return { name, path, ok: false, detail: detail.replaceAll('\n', ' ') };
  }
}

/** The table that `weft demo --once` ends with. */
export function resultTable(results: readonly CheckResult[]): string {
  return formatTable(
    ['CHECK', 'PATH', 'RESULT', 'SEEN'],
    results.map(({ name, path, ok, detail }) => [name, path, ok ? 'ok' : 'FAILED', detail]),
  );
}

/** Whether every one of `expected` checks ran and passed. */
export function allPassed(results: readonly CheckResult[], expected: number): boolean {
  return results.length === expected && results.every(({ ok }) => ok);
}

/** Writes the results as `{"ok", "checks": [{"name", "path", "ok", "detail"}]}`. */
export async function writeResults(path: string, ok: boolean, results: readonly CheckResult[]): Promise<void> {
  const checks = results.map((result) => ({ name: result.name, path: result.path, ok: result.ok, detail: result.detail }));
  await writeFile(path, `${JSON.stringify({ ok, checks }, null, 2)}\n`);
}
