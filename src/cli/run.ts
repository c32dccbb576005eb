import { type Command, Option } from 'commander';
import { type Act, makeCommand, runDirOption } from './command.ts';
import { collectLabel, readName, readWorkloadName } from './option-values.ts';

/** What `weft run` is told. */
export type RunOptions = {
  name: string;
  namespace: string;
  serviceAccount: string;
  labels: Record<string, string>;
  /** Socket of the agent to ask; null: the agent of `node`, or the only one there is. */
  agentSocket: string | null;
  node: string | null;
  runDir: string;
  /** The command speaks HBONE by itself. */
  nativeTunnel: boolean;
  /** The command and its arguments: at least one word. */
  command: readonly string[];
};

type Parsed = Omit<RunOptions, 'labels' | 'agentSocket' | 'node' | 'command'> & {
  label: Record<string, string>;
  agentSocket?: string;
  node?: string;
};

/** `weft run`: one process as a workload of the mesh. */
export function runCommand(act: Act<RunOptions>): Command {
  return makeCommand('run', 'Mesh:', 'Run a command as a workload of the mesh', [
    {
      command: 'weft run --name web --service-account web --label app=web -- python3 -m http.server 8080',
      does: 'run a web server that Services with the selector app=web send to',
    },
    { command: 'weft run --name shell --service-account tester -- bash', does: 'get a shell inside the mesh' },
  ])
    .description(
      'Run a command as a workload of the mesh: with a network namespace, an address and an identity of its own. Signals go to the command, its exit code is the exit code here, and when it ends the workload is gone.',
    )
    .usage('--name <name> --service-account <name> [options] -- <command...>')
    .argument('<command...>', 'the command and its arguments; write -- before it')
    .requiredOption('--name <name>', "the workload's name", readWorkloadName)
    .requiredOption('--service-account <name>', 'the service account in its identity', readWorkloadName)
    .option('--namespace <name>', 'the namespace in its identity', readWorkloadName, 'default')
    .option('--label <key=value>', 'a label that selectors can match; repeat for more', collectLabel, {})
    .option('--node <name>', 'the node to run on, when this machine has several agents', readName)
    .option('--agent-socket <path>', "the agent's socket (default: the only agent below --run-dir)")
    .addOption(runDirOption())
    .addOption(new Option('--native-tunnel', 'the command speaks HBONE by itself').default(false).hideHelp())
    .passThroughOptions()
    .action((words: string[], { label, agentSocket, node, ...rest }: Parsed) =>
      act({ ...rest, labels: label, agentSocket: agentSocket ?? null, node: node ?? null, command: words }),
    );
}
