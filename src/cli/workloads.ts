import type { Command } from 'commander';
import { WeftError } from '#model/error.ts';
import type { AgentStatus } from '#protocol/api/agent.ts';
import { type Act, type DataFormat, formatData, makeCommand, outputOption, runDirOption } from './command.ts';
import { readDurationSeconds, readName, readWorkloadName } from './option-values.ts';
import { formatTable } from './text-format.ts';

/** What `weft stop` is told. `node` null: whichever of this machine runs them. */
export type StopOptions = {
  names: readonly string[];
  namespace: string;
  node: string | null;
  /** Null: the agent's usual time. */
  graceSeconds: number | null;
  runDir: string;
};

/** `weft stop`: ends workloads of this machine. */
export function stopCommand(act: Act<StopOptions>): Command {
  return makeCommand('stop', 'Mesh:', 'End workloads of this machine', [
    { command: 'weft stop web', does: 'ask web to end (SIGTERM), and kill it when it still lives after 10 s' },
    { command: 'weft stop --grace 2m database', does: 'give it two minutes' },
  ])
    .description(
      'End workloads that weft run started on this machine: each is asked to end by SIGTERM, stays in the mesh while it does, and is killed when its time is over.',
    )
    .argument('<name...>', 'names of workloads')
    .option('--namespace <name>', 'the namespace that they are in', readWorkloadName, 'default')
    .option('--grace <duration>', 'how long they may take, such as 30s; 0s kills them at once (default: 10s)', readGrace)
    .option('--node <name>', 'only of this node, when this machine has several agents', readName)
    .addOption(runDirOption())
    .action((names: string[], { grace, node, ...rest }: { namespace: string; runDir: string; grace?: number; node?: string }) =>
      act({ ...rest, names, node: node ?? null, graceSeconds: grace ?? null }),
    );
}

function readGrace(text: string): number {
  return text === '0' || text === '0s' ? 0 : readDurationSeconds(text);
}

/** What `weft drain` is told. `undo`: they serve again. */
export type DrainOptions = { names: readonly string[]; namespace: string; node: string | null; undo: boolean; runDir: string };

/** `weft drain`: workloads of this machine get no new connections. */
export function drainCommand(act: Act<DrainOptions>): Command {
  return makeCommand('drain', 'Mesh:', 'Send workloads no new connections', [
    { command: 'weft drain web', does: 'let others of its services have what is new; what web has goes on' },
    { command: 'weft drain --undo web', does: 'let it have its share again' },
  ])
    .description(
      'Send workloads of this machine no new connections, until they are told to serve again or are started anew: others of their services get them. Open connections go on, and it may open new ones itself. weft stop does so first.',
    )
    .argument('<name...>', 'names of workloads')
    .option('--undo', 'they serve again', false)
    .option('--namespace <name>', 'the namespace that they are in', readWorkloadName, 'default')
    .option('--node <name>', 'only of this node, when this machine has several agents', readName)
    .addOption(runDirOption())
    .action((names: string[], { node, ...rest }: { namespace: string; undo: boolean; runDir: string; node?: string }) =>
      act({ ...rest, names, node: node ?? null }),
    );
}

/** What `weft ps` is told. `namespace` and `node` null, and no `names`: all of them. */
export type PsOptions = {
  namespace: string | null;
  names: readonly string[];
  node: string | null;
  output: 'table' | 'wide' | DataFormat;
  /** Goes on until it is ended. */
  watch: boolean;
  runDir: string;
};

/** `weft ps`: the workloads of this machine. */
export function psCommand(act: Act<PsOptions>): Command {
  return makeCommand('ps', 'Look and check:', 'Show the workloads that run on this machine', [
    { command: 'weft ps', does: 'see names, nodes, identities and addresses' },
    { command: 'weft ps --namespace shop -o json', does: 'those of one namespace, for a program' },
    { command: 'weft ps --watch', does: 'see them come and go, until Ctrl-C' },
  ])
    .argument('[name...]', 'only workloads of these names')
    .option('--namespace <name>', 'only of this namespace', readWorkloadName)
    .option('--node <name>', 'only of this node, when this machine has several agents', readName)
    .addOption(outputOption('table', 'wide'))
    .option('-w, --watch', 'go on, and show them again whenever they change', false)
    .addOption(runDirOption())
    .action((names: string[], { namespace, node, ...rest }: Pick<PsOptions, 'output' | 'watch' | 'runDir'> & PsFilter) =>
      act({ ...rest, names, namespace: namespace ?? null, node: node ?? null }),
    );
}

type PsFilter = { namespace?: string; node?: string };

/** One workload of this machine. */
export type WorkloadRow = AgentStatus['enrolled'][number] & { node: string };

/** The workloads of nodes, by namespace and name. */
export function workloadRows(
  nodes: readonly NodeWorkloads[],
  { names, namespace, node }: Pick<PsOptions, 'names' | 'namespace' | 'node'>,
): WorkloadRow[] {
  const rows = nodes.flatMap((agent) => [...agent.enrolled, ...waiting(agent)].map((one) => ({ node: agent.node, ...one })));
  const key = (row: WorkloadRow): string => `${row.namespace}/${row.name} ${row.node}`;
  const isAsked = (row: WorkloadRow): boolean =>
    (namespace === null || row.namespace === namespace) &&
    (node === null || row.node === node) &&
    (names.length === 0 || names.includes(row.name));
  return rows.filter(isAsked).sort((a, b) => (key(a) < key(b) ? -1 : 1));
}

/** Those whose command does not run now. */
function waiting({ enrolled, runs }: NodeWorkloads): AgentStatus['enrolled'] {
  const isEnrolled = (run: LiveRun): boolean =>
    enrolled.some(({ namespace, name }) => namespace === run.namespace && name === run.name);
  const others = { uid: '', addresses: [], published: [], ready: false, problem: 'to be started again' };
  return runs
    .filter((run) => !isEnrolled(run))
    .map(({ namespace, name, serviceAccount }) => ({ namespace, name, serviceAccount, ...others }));
}

/** What `weft ps` prints. */
export async function formatWorkloads(rows: readonly WorkloadRow[], output: PsOptions['output']): Promise<string> {
  if (output === 'json' || output === 'yaml') return formatData(rows, output);
  const more = output === 'wide';
  const header = ['NAMESPACE', 'NAME', 'NODE', 'SERVICE ACCOUNT', 'STATE', 'ADDRESSES', ...(more ? ['PUBLISHED', 'UID'] : [])];
  const cells = rows.map(({ uid, namespace, name, node, serviceAccount, ready, draining, problem, addresses, published }) => [
    ...[namespace, name, node, serviceAccount],
    problem ?? (!ready ? 'starting' : draining ? 'draining' : 'ready'),
    addresses.join(', '),
    ...(more ? [published?.join(', ') ?? '', uid] : []),
  ]);
  return rows.length === 0 ? 'no workloads\n' : formatTable(header, cells);
}

/** A `weft run` that lives: whom it runs, or waits to run again. */
export type LiveRun = { pid: number; namespace: string; name: string; serviceAccount: string };

/** A node: its agent's workloads, and what runs them here. */
export type NodeWorkloads = Pick<AgentStatus, 'node' | 'enrolled'> & { runs: readonly LiveRun[] };

/** A node, with how to end its workloads. */
export type Stopper = NodeWorkloads & {
  drain(namespace: string, name: string, draining: boolean): Promise<void>;
  stop(namespace: string, name: string, graceMs?: number): Promise<void>;
  /** Takes a name away from the `weft run` that holds it: it starts its command no more. */
  disown(namespace: string, name: string): void;
  /** Resolves when a `weft run` has ended, which has nothing to wait for; `isIdle`: its command does not run, so it is told to. */
  endRun(pid: number, isIdle: boolean): Promise<void>;
};

/** Whom a command names, and what runs them; all of them, or an error. Errors: WEFT_NO_WORKLOAD. */
function named({ names, namespace, node }: Pick<StopOptions, 'names' | 'namespace' | 'node'>, agents: readonly Stopper[]) {
  const asked = agents.filter((agent) => node === null || agent.node === node);
  return names.map((name) => {
    const isIt = (one: { namespace: string; name: string }): boolean => one.namespace === namespace && one.name === name;
    const agent = asked.find(({ enrolled, runs }) => enrolled.some(isIt) || runs.some(isIt));
    if (agent !== undefined) return { name, agent, isEnrolled: agent.enrolled.some(isIt), run: agent.runs.find(isIt) };
    throw new WeftError('WEFT_NO_WORKLOAD', `no workload ${namespace}/${name} runs on this machine`, {
      remedy: 'see weft ps; name another namespace with --namespace',
    });
  });
}

/** Sends workloads no new connections, or their share again. Errors: WEFT_NO_WORKLOAD, and those of the agents. */
export async function drainWorkloads(
  options: DrainOptions,
  agents: readonly Stopper[],
  tell: (line: string) => void,
): Promise<void> {
  const { namespace, undo } = options;
  for (const { name, agent } of named(options, agents)) {
    await agent.drain(namespace, name, !undo);
    tell(`${namespace}/${name}: ${undo ? 'serves again' : 'gets no new connections'}`);
  }
}

/** Ends workloads at once, all of them or none when one is not there. Errors: WEFT_NO_WORKLOAD, and those of the agents. */
export async function stopWorkloads(
  options: StopOptions,
  agents: readonly Stopper[],
  tell: (line: string) => void,
): Promise<void> {
  const { namespace, graceSeconds } = options;
  const found = named(options, agents);
  await Promise.all(
    found.map(async ({ name, agent, isEnrolled, run }) => {
      agent.disown(namespace, name);
      if (isEnrolled) await agent.stop(namespace, name, ...(graceSeconds === null ? [] : [graceSeconds * 1_000]));
      if (run !== undefined) await agent.endRun(run.pid, !isEnrolled);
      tell(`${namespace}/${name}: ended`);
    }),
  );
}
