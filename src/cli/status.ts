import type { Command } from 'commander';
import type { AgentStatus } from '#protocol/api/agent.ts';
import type { ControlStatus } from '#protocol/api/control.ts';
import { type Act, type DataFormat, makeCommand, outputOption, runDirOption } from './command.ts';

/** What `weft status` is told. */
export type StatusOptions = { runDir: string; output: 'table' | 'wide' | DataFormat };

/** `weft status`: how the mesh on this machine is. */
export function statusCommand(act: Act<StatusOptions>): Command {
  return makeCommand('status', 'Look and check:', 'Show nodes, workloads, certificates and what is wrong', [
    { command: 'weft status', does: 'see which path connections take, and what is out of date' },
    { command: 'weft status -o json', does: 'the same for a program' },
  ])
    .description(
      'Show how the mesh on this machine is: its nodes, its workloads with their identity and the path that connections to them take, the certificates held, and what is out of date or refused.',
    )
    .addOption(outputOption('table', 'wide'))
    .option('--json', 'the same as -o json', false)
    .addOption(runDirOption())
    .action(({ runDir, output, json }: StatusOptions & { json: boolean }) => act({ runDir, output: json ? 'json' : output }));
}

/** What one node says of itself, or why it says nothing. */
export type NodeReport = { kind: 'up'; status: AgentStatus } | { kind: 'down'; node: string; error: string };

/** What the control plane says of itself; `absent`: it does not run on this machine. */
export type ControlReport = { kind: 'up'; status: ControlStatus } | { kind: 'absent' } | { kind: 'down'; error: string };

/** Everything `weft status` knows. */
export type StatusReport = {
  /** Version of the program that asks. */
  version: string;
  nowMs: number;
  nodes: readonly NodeReport[];
  control: ControlReport;
};

/** A workload of the mesh, with the path that a connection from each node of this machine takes to it. */
export type WorkloadLine = { uid: string; identity: string; node: string; addresses: readonly string[]; path: string };

/** Every workload that an agent of this machine knows, once; by node and uid. */
export function workloadsOf({ nodes }: StatusReport): WorkloadLine[] {
  const seen = new Map<string, { line: Omit<WorkloadLine, 'path'>; paths: Map<string, string> }>();
  for (const report of nodes) {
    if (report.kind === 'down') continue; // what it knew is told by the others, if there are any
    for (const { path, ...line } of report.status.workloads) {
      const known = seen.get(line.uid) ?? { line, paths: new Map<string, string>() };
      known.paths.set(report.status.node, path);
      seen.set(line.uid, known);
    }
  }
  const lines = [...seen.values()].map(({ line, paths }) => ({ ...line, path: describePaths(paths) }));
  return lines.sort((a, b) => compare(a.node, b.node) || compare(a.uid, b.uid));
}

/** One path where all nodes agree; otherwise each with the nodes it is taken from. */
function describePaths(paths: ReadonlyMap<string, string>): string {
  const byPath = Map.groupBy([...paths], ([, path]) => path);
  if (byPath.size === 1) return [...byPath.keys()].join();
  return [...byPath].map(([path, from]) => `${path} from ${from.map(([node]) => node).join(', ')}`).join('; ');
}

/** One sentence for everything that is out of date, missing or broken; empty when all is well. */
export function complaintsOf(report: StatusReport): string[] {
  return [...report.nodes.flatMap((node) => nodeComplaints(node, report)), ...controlComplaints(report.control)];
}

/** Each sentence says what follows from it, for a person who does not know the parts. */
function nodeComplaints(report: NodeReport, { version, nowMs }: StatusReport): string[] {
  if (report.kind === 'down') {
    return [
      `node ${report.node}: its agent does not answer (${report.error}); what the kernel carries goes on, all else is refused`,
    ];
  }
  const { status } = report;
  const { controlPlane, certificates, enrolled, degraded } = status;
  const away = controlPlane.error === null ? '' : ` (${controlPlane.error})`;
  const sentences = [
    ...(controlPlane.connected ? [] : [`not connected to the control plane at ${controlPlane.address}${away}`]),
    ...(controlPlane.syncedAt === null ? ['never got the state of the mesh, so new workloads wait'] : []),
    ...(status.version === version ? [] : [`runs version ${status.version}, this is ${version}; restart its agent`]),
    ...certificates.flatMap((certificate) => certificateComplaint(certificate, nowMs)),
    ...enrolled.flatMap(({ namespace, name, problem }) =>
      problem === null ? [] : [`workload ${namespace}/${name}: ${problem}`],
    ),
    ...degraded,
  ];
  return sentences.map((sentence) => `node ${status.node}: ${sentence}`);
}

/** An expired certificate is worse than one that cannot be renewed yet, so it is told first and alone. */
function certificateComplaint({ identity, notAfter, error }: AgentStatus['certificates'][number], nowMs: number): string[] {
  const why = error === null ? '' : `: ${error}`;
  if (notAfter !== '' && Date.parse(notAfter) <= nowMs) return [`the certificate of ${identity} has expired${why}`];
  return error === null ? [] : [`the certificate of ${identity} cannot be renewed${why}`];
}

function controlComplaints(control: ControlReport): string[] {
  switch (control.kind) {
    case 'absent':
      return [];
    case 'down':
      return [`the control plane does not answer (${control.error}); what is known stays in force`];
    case 'up':
      return [...control.status.outOfDate, ...control.status.rivals.map(rivalText)].map(
        (sentence) => `control plane: ${sentence}`,
      );
  }
}

function rivalText({ node, from, also }: ControlStatus['rivals'][number]): string {
  return `${also} came with the token of node ${node}, which is at ${from}, and was refused: give it a name and a token of its own`;
}

/** By code units: the same order on every machine, whatever its locale. */
function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
