import { describeError } from '#cli/report-error.ts';
import { readMachineFacts } from '#platform/preflight/facts.ts';
import { requireMachine } from '#platform/preflight/preflight.ts';
import { nodesDown, nodesUp } from '#testbed/nodes/nodes.ts';
import { nodeCount } from '#testbed/nodes/plan.ts';
import type { Child } from '#testbed/processes/child.ts';
import { CHECK_TOOLS, LAB_TOOLS, requireTools } from '#testbed/processes/command.ts';
import { type Lab, logTails } from './lab.ts';

/** Where a lab tells what it does, and how it learns that it should end. */
export type LabIo = {
  out(text: string): void;
  err(text: string): void;
  /** Aborted by Ctrl-C and its like: everything is removed, then the lab ends. */
  interrupted: AbortSignal;
};

/** What happens in a lab. */
export type LabPhases = {
  /** Starts what is to run; `tell` hears what is being done. It is abandoned by an interruption. */
  open(tell: (what: string) => void): Promise<void>;
  /** Goes on until it is done or interrupted; returns whether all is well. */
  body(): Promise<boolean>;
  /** Whether all is well when an interruption came before `body`. */
  wellWithoutBody: boolean;
};

/**
 * Returns the cgroup v2 mount of a machine that can carry a lab, with the programs for the checks or without.
 * Errors: those of the preflight, WEFT_TESTBED_TOOLS.
 */
export async function requireLabMachine(withChecks: boolean): Promise<string> {
  const facts = readMachineFacts();
  requireMachine(facts);
  await requireTools(withChecks ? CHECK_TOOLS : LAB_TOOLS);
  return facts.cgroup2Mounts[0] ?? '';
}

/**
 * Makes the nodes of a lab, opens it, lives through its body, and removes everything, whatever happens; only the logs of a
 * lab that failed are kept. Returns the exit code: 0 when all is well and nothing is left. Never rejects: errors are told.
 */
export async function liveThrough(lab: Lab, io: LabIo, { open, body, wellWithoutBody }: LabPhases): Promise<number> {
  const tell = (what: string): void => io.out(`${what}\n`);
  let ok = false;
  try {
    tell(`making ${nodeCount(lab.plan)} (lab ${lab.plan.id})`);
    await nodesUp(lab.plan);
    await untilInterrupted(io.interrupted, open(tell));
    ok = io.interrupted.aborted ? wellWithoutBody : await body();
  } catch (error) {
    if (!io.interrupted.aborted) io.err(`${describeError(error, false)}${await logTails(lab.children())}`);
  }
  const removed = await close(lab, ok, io);
  return ok && removed ? 0 : 1;
}

/** Removes everything; returns whether nothing is left. */
async function close(lab: Lab, ok: boolean, io: LabIo): Promise<boolean> {
  io.out('removing everything\n');
  // What the mesh does not clean up by itself goes by force.
  lab.refuseStarts();
  if (lab.children().some((child) => child.ending() === null)) await lab.leave().catch(() => {});
  try {
    await nodesDown(lab.plan, !ok);
    if (!ok) io.out(`the logs of this run are in ${lab.plan.logDir}\n`);
    return true;
  } catch (error) {
    io.err(describeError(error, false));
    return false;
  }
}

/** Tells of each of the processes that ends although nobody here told it to. */
export function tellEndings(children: readonly Child[], io: LabIo): void {
  for (const child of children) {
    void child.ended.then(() => {
      if (child.endedByItself() && !io.interrupted.aborted)
        io.err(`${child.name} ended by itself; its log is ${child.logPath}\n`);
    });
  }
}

/** The task's result, or undefined as soon as the signal is aborted; the task is then abandoned. */
export async function untilInterrupted<Result>(interrupted: AbortSignal, task: Promise<Result>): Promise<Result | undefined> {
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
