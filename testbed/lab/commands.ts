import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { formatData } from '#cli/command.ts';
import type { LabRequest } from '#cli/lab.ts';
import type { StatusReport } from '#cli/status.ts';
import { formatStatus } from '#cli/status-page.ts';
import { formatTable } from '#cli/text-format.ts';
import { unreachable, WeftError } from '#model/error.ts';
import type { StartedWorkload } from '#protocol/api/agent.ts';
import { labState, leftoversOf, nodesDown } from '#testbed/nodes/nodes.ts';
import { nodeOf, OWNER_FILE, planLab, wireOf } from '#testbed/nodes/plan.ts';
import { startCapture } from '#testbed/observers/capture.ts';
import { requireTools } from '#testbed/processes/command.ts';
import { processAlive, processIdentity } from '#testbed/processes/process-table.ts';
import { waitUntil } from '#testbed/processes/wait.ts';
import { askRestart } from './lab-api.ts';
import type { LabIo } from './life.ts';
import { chooseLogs, readLogs } from './logs.ts';
import { findLab, LABS_DIR, type LabRecord, unknownLab } from './record.ts';

const DOWN_WAIT_MS = 90_000;

type Of<Kind extends LabRequest['kind']> = Extract<LabRequest, { kind: Kind }>;

/** What other commands do for a lab. */
export type LabEffects = {
  out(text: string): void;
  err(text: string): void;
  /** From its first call on, Ctrl-C and its like abort the signal instead of ending the process. */
  interruption(): AbortSignal;
  /** `weft run` with the agent behind a socket. Resolves to the exit code. */
  runWorkload(agentSocket: string, workload: Of<'run'>): Promise<number>;
  /** Runs a command in a network namespace and a cgroup that are there. Resolves to the exit code. */
  runCommand(
    place: Pick<StartedWorkload, 'netnsPath' | 'cgroupPath' | 'resolvConfPath'>,
    command: readonly string[],
  ): Promise<number>;
  /** What `weft status` says of a run directory. */
  meshStatus(runDir: string): Promise<StatusReport>;
};

/** Does what `weft lab` was told (what only some commands need is loaded when they run); resolves to the exit code. Errors: each names what there is, or what to do. */
export async function runLabCommand(request: LabRequest, effects: LabEffects): Promise<number> {
  switch (request.kind) {
    case 'up':
      return (await import('./up.ts')).labUp(request, ioOf(effects));
    case 'run':
      return run(request, effects);
    case 'outside':
      return outside(request, effects);
    case 'restart':
      return restart(request, effects);
    case 'capture':
      return capture(request, ioOf(effects));
    case 'logs':
      return logs(request, effects);
    case 'status':
      return status(request, effects);
    case 'down':
      return down(request, effects);
    default:
      return unreachable(request);
  }
}

function ioOf({ out, err, interruption }: LabEffects): LabIo {
  return { out, err, interrupted: interruption() };
}

/** The agent of the node does what it does for `weft run`; the workload's process joins that node's cgroup. */
async function run(request: Of<'run'>, { runWorkload }: LabEffects): Promise<number> {
  const { record, plan } = await findLab(request.lab);
  const node = record.nodes[nodeOf(plan, request.node).name];
  return runWorkload(node?.socket ?? '', request);
}

/** In the cgroup of the lab's own processes, which no agent watches, and which goes with the lab. */
async function outside({ lab, command }: Of<'outside'>, { runCommand }: LabEffects): Promise<number> {
  const { record } = await findLab(lab);
  const { netns, resolvConf } = record.outside;
  return runCommand({ netnsPath: `/run/netns/${netns}`, cgroupPath: record.hostCgroup, resolvConfPath: resolvConf }, command);
}

/** The process of `weft lab up` is the parent of all parts, so it is asked to. */
async function restart({ lab, part, kill }: Of<'restart'>, { out }: LabEffects): Promise<number> {
  const { record, plan } = await findLab(lab);
  if (part !== 'control') nodeOf(plan, part);
  await askRestart(record.socket, part, kill ? 'SIGKILL' : 'SIGTERM');
  out(`${part} runs again\n`);
  return 0;
}

/** Everything on the wire, whatever it is: what should not be there is what one looks for. */
async function capture({ lab, out: path }: Of<'capture'>, { err, interrupted }: LabIo): Promise<number> {
  const { plan } = await findLab(lab);
  const wire = wireOf(plan);
  await requireTools(['tcpdump']);
  const file = await open(path, 'w').catch((cause: unknown) => {
    throw new WeftError('WEFT_LAB_CAPTURE', `cannot write ${path}`, {
      cause,
      remedy: 'name a file in a directory that is there with --out',
    });
  });
  try {
    const tcpdump = await startCapture(wire, file.fd, '');
    err(`capturing what the nodes send one another into ${path}; Ctrl-C ends it\n`);
    const asked = new Promise<true>((resolve) => {
      if (interrupted.aborted) resolve(true);
      interrupted.addEventListener('abort', () => resolve(true), { once: true });
    });
    const wasAsked = await Promise.race([asked, tcpdump.ended.then(() => false)]);
    await tcpdump.stop();
    const counts = tcpdump
      .said()
      .trim()
      .split('\n')
      .filter((line) => / packets? /.test(line));
    err(counts.map((line) => `${line}\n`).join(''));
    if (wasAsked) return 0;
    throw new WeftError('WEFT_TESTBED_CAPTURE', 'the capture ended before it was told to', {
      remedy: 'see whether the lab is still up: weft lab status',
    });
  } finally {
    await file.close();
  }
}

/** Without -f it ends with what is there now. */
async function logs({ lab, part, follow }: Of<'logs'>, { out, interruption }: LabEffects): Promise<number> {
  const { record, plan } = await findLab(lab);
  await readLogs(await chooseLogs(part, record, plan), out, follow ? interruption() : null);
  return 0;
}

/** First the processes, which may be dead while the mesh still answers, or the other way round. */
async function status({ lab, output }: Of<'status'>, { out, meshStatus }: LabEffects): Promise<number> {
  const { record } = await findLab(lab);
  const parts = await Promise.all(
    partsOf(record).map(async (part) => ({ ...part, isRunning: (await processIdentity(part.pid)) !== null })),
  );
  const { directory } = record;
  const mesh = await meshStatus(record.runDir);
  if (output !== 'text') {
    out(await formatData({ lab: record.lab, directory, parts, mesh }, output));
    return 0;
  }
  const rows = parts.map(({ name, isRunning, pid, log }) => [name, isRunning ? 'running' : 'ended', String(pid), log]);
  out(`lab ${record.lab} over ${directory}\n\n${formatTable(['PART', 'STATE', 'PID', 'LOG'], rows)}\n`);
  out(await formatStatus(mesh));
  return 0;
}

function partsOf({ control, nodes, outside }: LabRecord): { name: string; pid: number; log: string }[] {
  const agents = Object.entries(nodes).map(([name, { pid, log }]) => ({ name, pid, log }));
  return [{ ...control, name: 'control' }, ...agents, { ...outside, name: 'outside' }];
}

/** Its own process removes a lab in order; what a dead one left, and what that did not manage, goes by force. */
async function down({ lab }: Of<'down'>, { out }: LabEffects): Promise<number> {
  const { requireLabMachine } = await import('./life.ts');
  const plan = planLab(lab, LABS_DIR, await requireLabMachine(false));
  const state = await labState(plan);
  if (state === 'alive') {
    const owner = await readFile(join(plan.runDir, OWNER_FILE), 'utf8');
    process.kill(Number.parseInt(owner, 10), 'SIGTERM');
    await waitUntil(`end of lab ${lab}`, DOWN_WAIT_MS, async () => !(await processAlive(owner)));
  }
  if ((await leftoversOf(plan)).length > 0) await nodesDown(plan, false);
  else if (state === 'absent') throw await unknownLab(lab);
  out(`lab ${lab} is gone\n`);
  return 0;
}
