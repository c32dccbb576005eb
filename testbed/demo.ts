import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { describeError } from '#cli/report-error.ts';
import { readMachineFacts } from '#platform/preflight/facts.ts';
import { requireMachine } from '#platform/preflight/preflight.ts';
import type { CheckResult } from './checks/check.ts';
import { allChecks, runChecks } from './checks/run-checks.ts';
import { fabricDown, fabricUp } from './fabric/fabric.ts';
import type { FabricPlan } from './fabric/plan.ts';
import { planFabric } from './fabric/plan.ts';
import { sweepStaleRuns } from './fabric/stale-runs.ts';
import { logTails } from './log-tails.ts';
import { DemoMesh } from './mesh/demo-mesh.ts';
import { leaveMesh } from './mesh/leave.ts';
import { waitReady } from './mesh/ready.ts';
import { type BpfObject, bpfObjects } from './observe/bpf-objects.ts';
import { allPassed, resultTable, writeResults } from './report.ts';
import { thingsToTry } from './things-to-try.ts';
import { requireTools } from './tools.ts';

/** Where the demo tells what it does, and how it learns that it should end. */
export type DemoIo = {
  out(text: string): void;
  err(text: string): void;
  /** Aborted by Ctrl-C and its like: everything is removed, then the demo ends. */
  interrupted: AbortSignal;
};

/** What `weft demo` was told. */
export type DemoRequest = { once: boolean; jsonPath: string | null; io: DemoIo };

/**
 * Runs the bookshop on two virtual nodes: with `once` through all checks, else until it is interrupted.
 * Returns the exit code: 0 when all checks passed (or a visitor has seen enough), 1 otherwise.
 * Whatever happens, everything it made is removed; only logs of a run that failed are kept.
 * Errors: those of the preflight (nothing was made yet).
 */
export async function runDemo({ once, jsonPath, io }: DemoRequest): Promise<number> {
  const facts = readMachineFacts();
  requireMachine(facts);
  await requireTools(once);
  const cgroup2Mount = facts.cgroup2Mounts[0] ?? '';
  const plan = planFabric(randomBytes(3).toString('hex'), tmpdir(), cgroup2Mount);
  for (const runId of await sweepStaleRuns(plan)) io.out(`removed what the dead run ${runId} had left\n`);
  const before = await bpfObjects();
  const mesh = new DemoMesh(plan);
  let ok = false;
  try {
    await open(mesh, io);
    // A visitor may leave before the doors open; checks that did not run did not pass.
    if (io.interrupted.aborted) ok = !once;
    else ok = once ? await check(mesh, before, jsonPath, io) : await visit(mesh, io);
  } catch (error) {
    if (!io.interrupted.aborted) io.err(`${describeError(error, false)}${await logTails(mesh.children())}`);
  }
  const removed = await close(mesh, ok, io);
  return ok && removed ? 0 : 1;
}

/** Makes the fabric and everything on it; ends early, without an error, when interrupted. */
async function open(mesh: DemoMesh, io: DemoIo): Promise<void> {
  const tell = (what: string): void => io.out(`${what}\n`);
  tell(`making two virtual nodes (run ${mesh.plan.runId})`);
  await fabricUp(mesh.plan);
  await untilInterrupted(
    io.interrupted,
    (async () => {
      await mesh.start(tell);
      tell('waiting until every path works');
      await waitReady(mesh, io.interrupted);
    })(),
  );
}

async function check(mesh: DemoMesh, before: readonly BpfObject[] | null, jsonPath: string | null, io: DemoIo): Promise<boolean> {
  io.out('running the checks\n');
  const checks = allChecks(before);
  const tell = ({ name, ok }: CheckResult, elapsedMs: number): void =>
    io.out(`  ${ok ? 'ok    ' : 'FAILED'} ${name} (${(elapsedMs / 1000).toFixed(1)} s)\n`);
  const results = await runChecks(mesh, checks, tell, io.interrupted);
  const ok = allPassed(results, checks.length);
  io.out(`\n${resultTable(results)}\n`);
  if (jsonPath !== null) await writeResults(jsonPath, ok, results);
  return ok;
}

async function visit(mesh: DemoMesh, io: DemoIo): Promise<boolean> {
  for (const child of mesh.children()) {
    void child.ended.then(() => {
      if (child.endedByItself() && !io.interrupted.aborted)
        io.err(`${child.name} ended by itself; its log is ${child.logPath}\n`);
    });
  }
  io.out(thingsToTry(mesh));
  await untilInterrupted(io.interrupted, new Promise<never>(() => {}));
  return true;
}

/** Removes everything; returns whether nothing is left. */
async function close(mesh: DemoMesh, ok: boolean, io: DemoIo): Promise<boolean> {
  io.out('removing everything\n');
  // What the mesh does not clean up by itself the fabric does by force.
  mesh.refuseStarts();
  if (mesh.children().some((child) => child.ending() === null)) await leaveMesh(mesh).catch(() => {});
  return removeFabric(mesh.plan, !ok, io);
}

async function removeFabric(plan: FabricPlan, keepLogs: boolean, io: DemoIo): Promise<boolean> {
  try {
    await fabricDown(plan, keepLogs);
    if (keepLogs) io.out(`the logs of this run are in ${plan.logDir}\n`);
    return true;
  } catch (error) {
    io.err(describeError(error, false));
    return false;
  }
}

/** The task's result, or undefined as soon as the signal is aborted; the task is then abandoned. */
async function untilInterrupted<Result>(interrupted: AbortSignal, task: Promise<Result>): Promise<Result | undefined> {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  const onAbort = (): void => resolve(undefined);
  interrupted.addEventListener('abort', onAbort);
  if (interrupted.aborted) onAbort();
  try {
    return await Promise.race([task, promise]);
  } finally {
    interrupted.removeEventListener('abort', onAbort);
  }
}
