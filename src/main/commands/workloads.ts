import { setTimeout as sleep } from 'node:timers/promises';
import { watch } from '#cli/live-output.ts';
import {
  type DrainOptions,
  drainWorkloads,
  formatWorkloads,
  type PsOptions,
  type StopOptions,
  type Stopper,
  stopWorkloads,
  workloadRows,
} from '#cli/workloads.ts';
import { showProgress, tellResult } from '#main/commands/progress.ts';
import { WeftError } from '#model/error.ts';
import { COMMAND } from '#model/settings/host.ts';
import { disown, liveRuns } from '#platform/files/run-claim.ts';
import { agentsBelow } from '#platform/files/run-dir.ts';
import { endProcess, isRunning } from '#platform/linux/process/processes.ts';
import { eventually } from '#platform/linux/process/waiting.ts';
import { agentClient } from '#platform/local-api/clients.ts';

/** `weft ps`. Errors: WEFT_NO_AGENT when none answers. */
export async function ps({ output, runDir, watch: goesOn, ...filter }: PsOptions): Promise<number> {
  // What is looked at again and again shows by itself that it goes on.
  const ask = goesOn ? <T>(agents: () => Promise<T>) => agents() : asking;
  const look = async (): Promise<string> => formatWorkloads(workloadRows(await ask(() => askAgents(runDir)), filter), output);
  const again = async (): Promise<boolean> => goesOn && (await sleep(COMMAND.watchMs, true));
  await watch(look, { isTerminal: goesOn && process.stdout.isTTY, write: (text) => void process.stdout.write(text) }, again);
  return 0;
}

/** `weft stop`. Errors: WEFT_NO_AGENT, WEFT_NO_WORKLOAD, and those of the agent. */
export async function stop(options: StopOptions): Promise<number> {
  const agents = await asking(() => askAgents(options.runDir));
  await showProgress(`waiting for ${options.names.join(', ')} to end`, () => stopWorkloads(options, agents, tellResult));
  return 0;
}

/** `weft drain`. Errors: WEFT_NO_AGENT, WEFT_NO_WORKLOAD, and those of the agent. */
export async function drain(options: DrainOptions): Promise<number> {
  await asking(async () => drainWorkloads(options, await askAgents(options.runDir), tellResult));
  return 0;
}

function asking<T>(work: () => Promise<T>): Promise<T> {
  return showProgress('asking the agents of this machine', work);
}

/** Every agent of this machine that answers; one that does not runs no workload that could be spoken to. */
async function askAgents(runDir: string): Promise<Stopper[]> {
  const asked = agentsBelow(runDir).map(async ({ socketPath, directory }) => {
    const client = agentClient(socketPath);
    const runs = liveRuns(directory); // before: one that has just started is enrolled then
    const away = (namespace: string, name: string): void => disown(directory, { namespace, name });
    return { ...(await client.status()), runs, stop: client.stop, drain: client.drain, disown: away, endRun };
  });
  const answers = await Promise.allSettled(asked);
  const agents = answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []));
  const failed = answers.find((answer) => answer.status === 'rejected');
  if (agents.length > 0) return agents;
  throw (
    failed?.reason ??
    new WeftError('WEFT_NO_AGENT', `no agent has a socket below ${runDir}`, {
      remedy: 'start the mesh with weft up DIR, or name another place with --run-dir',
    })
  );
}

async function endRun(pid: number, isIdle: boolean): Promise<void> {
  if (isIdle || !(await eventually(() => !isRunning(pid), COMMAND.runEndMs))) await endProcess(pid, COMMAND.runEndMs);
}
