import { type Command, InvalidArgumentError, Option } from 'commander';
import type { UserText } from '#model/rights/rights.ts';
import { type Act, type DataFormat, makeCommand, outputOption } from './command.ts';
import { collectLabel, readName, readWorkloadName } from './option-values.ts';
import { capAddOption, type RunOptions, shareOption, userOption } from './run.ts';

/** How many virtual nodes a lab may have. Fixed by the names of nodes: alpha to theta. */
const NODES_MAX = 8;

/** What `weft lab` is told; `lab` names the lab. */
export type LabRequest = { lab: string } & (
  | { kind: 'up'; directory: string; nodes: number; jsonPath: string | null }
  | ({ kind: 'run'; node: string; command: readonly string[] } & LabWorkload)
  | { kind: 'outside'; command: readonly string[] }
  | { kind: 'restart'; part: string; kill: boolean }
  | { kind: 'capture'; out: string }
  | { kind: 'logs'; part: string; follow: boolean }
  | { kind: 'status'; output: 'text' | DataFormat }
  | { kind: 'down' }
);

/** A workload to run in a lab: as for `weft run`, with the node instead of a socket. */
export type LabWorkload = Pick<RunOptions, 'name' | 'serviceAccount' | 'namespace' | 'labels' | 'user' | 'capAdd' | 'share'>;

/** The option that every command of a lab has. */
type Named = { lab: string };

/** `weft lab`: a mesh of virtual nodes on this machine, to try things in. */
export function labCommand(act: Act<LabRequest>): Command {
  const lab = makeCommand('lab', 'Look and check:', 'Run a mesh of several virtual nodes on this machine', [
    { command: 'weft lab up examples/quickstart/mesh', does: 'two nodes, a control plane and waypoints, until Ctrl-C' },
    {
      command: 'weft lab run --user nobody --node beta --name web --service-account web -- python3 -m http.server 8080',
      does: 'then, in another terminal, a workload on the second node',
    },
  ])
    .description(
      'Run a mesh of several virtual nodes on this machine: each has a network namespace, a cgroup and an agent of its own, and what they send one another is encrypted as between machines. Every command takes --lab NAME, so that several labs can be up at once.',
    )
    .usage('<command> [options]')
    .helpCommand(false)
    .enablePositionalOptions();
  for (const command of [up(act), run(act), outside(act), restart(act), capture(act), logs(act), status(act), down(act)]) {
    lab.addCommand(command.addOption(labOption()));
  }
  return lab;
}

function subcommand(name: string, summary: string): Command {
  return makeCommand(name, 'Commands:', summary, []);
}

function labOption(): Option {
  return new Option('--lab <name>', 'which lab').argParser(readLabName).default('lab');
}

function nodesOption(): Option {
  const names = 'alpha, beta, gamma, delta, …';
  return new Option('--nodes <count>', `how many nodes: ${names} (1 to ${NODES_MAX})`).argParser(readNodeCount).default(2, '2');
}

function up(act: Act<LabRequest>): Command {
  return subcommand('up', 'Start a lab over a directory of YAML and keep it until Ctrl-C or weft lab down')
    .argument('<dir>', 'directory of YAML resources, watched for changes')
    .addOption(nodesOption())
    .option('--json <file>', 'where to write the sockets, namespaces, cgroups, process ids, logs and state (docs/lab.md)')
    .action((directory: string, { json, nodes, lab }: Named & { nodes: number; json?: string }) =>
      act({ kind: 'up', lab, directory, nodes, jsonPath: json ?? null }),
    );
}

function run(act: Act<LabRequest>): Command {
  type Parsed = Named & { node: string; label: Record<string, string>; user?: UserText } & Omit<LabWorkload, 'labels' | 'user'>;
  return subcommand('run', 'Run a command as a workload on a node of the lab')
    .usage('--name <name> --service-account <name> [options] -- <command...>')
    .argument('<command...>', 'the command and its arguments; write -- before it')
    .option('--node <name>', 'the node to run on', readName, 'alpha')
    .requiredOption('--name <name>', "the workload's name", readWorkloadName)
    .requiredOption('--service-account <name>', 'the service account in its identity', readWorkloadName)
    .option('--namespace <name>', 'the namespace in its identity', readWorkloadName, 'default')
    .option('--label <key=value>', 'a label that selectors can match; repeat for more', collectLabel, {})
    .addOption(userOption())
    .addOption(capAddOption())
    .addOption(shareOption())
    .passThroughOptions() // from the first word on that is no option, all belongs to the command
    .action((command: string[], { label, user, ...rest }: Parsed) =>
      act({ kind: 'run', ...rest, user: user ?? null, labels: label, command }),
    );
}

function outside(act: Act<LabRequest>): Command {
  return subcommand('outside', 'Run a command on a host outside the mesh that has routes to the nodes')
    .usage('[options] -- <command...>')
    .argument('<command...>', 'the command and its arguments; write -- before it')
    .passThroughOptions()
    .action((command: string[], { lab }: Named) => act({ kind: 'outside', lab, command }));
}

function restart(act: Act<LabRequest>): Command {
  return subcommand('restart', 'Stop the control plane and start it again, or replace the agent of a node')
    .argument('<part>', 'control, or the name of a node')
    .option('--kill', 'end it with SIGKILL before another one starts', false)
    .action((part: string, { kill, lab }: Named & { kill: boolean }) => act({ kind: 'restart', lab, part, kill }));
}

function capture(act: Act<LabRequest>): Command {
  return subcommand('capture', 'Write what the nodes send one another to a file until Ctrl-C')
    .requiredOption('--out <file>', 'the file, in the format of tcpdump')
    .action(({ out, lab }: Named & { out: string }) => act({ kind: 'capture', lab, out }));
}

function logs(act: Act<LabRequest>): Command {
  return subcommand('logs', 'Show the log of a part, or what the parts tell about a workload')
    .argument('<name>', 'control, the name of a node, outside, waypoint or NAMESPACE.GATEWAY, or the name of a workload')
    .option('-f, --follow', 'go on with what is added, until Ctrl-C', false)
    .action((part: string, { follow, lab }: Named & { follow: boolean }) => act({ kind: 'logs', lab, part, follow }));
}

function status(act: Act<LabRequest>): Command {
  return subcommand('status', 'Show the parts of a lab and how its mesh is')
    .addOption(outputOption('text'))
    .action(({ lab, output }: Named & { output: 'text' | DataFormat }) => act({ kind: 'status', lab, output }));
}

function down(act: Act<LabRequest>): Command {
  return subcommand('down', 'End a lab and remove everything of it, also after weft lab up was killed').action(({ lab }: Named) =>
    act({ kind: 'down', lab }),
  );
}

/** Without a dash: the name can then be read out of the names of namespaces and cgroups. */
function readLabName(text: string): string {
  if (!/^[a-z0-9]{1,12}$/.test(text)) throw new InvalidArgumentError('Write at most 12 lower-case letters and digits.');
  return text;
}

function readNodeCount(text: string): number {
  const count = Number(text);
  if (!Number.isInteger(count) || count < 1 || count > NODES_MAX)
    throw new InvalidArgumentError(`Write a number from 1 to ${NODES_MAX}.`);
  return count;
}
