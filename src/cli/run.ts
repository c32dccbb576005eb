import { type Command, InvalidArgumentError, Option } from 'commander';
import { WeftError } from '#model/error.ts';
import { readLogLine } from '#model/launch/log-line.ts';
import { CAPABILITIES, type CapabilityName } from '#model/rights/capabilities.ts';
import type { UserText } from '#model/rights/rights.ts';
import { type Act, makeCommand, runDirOption, stateDirOption } from './command.ts';
import { type LaunchWishes, type ParsedLaunch, takeLaunch, withLaunchOptions } from './launch-options.ts';
import {
  collectAnnotation,
  collectCapability,
  collectLabel,
  collectPath,
  readName,
  readUser,
  readWeight,
  readWorkloadName,
} from './option-values.ts';

/** What `weft run` is told. */
export type RunOptions = LaunchWishes & {
  name: string;
  namespace: string;
  serviceAccount: string;
  labels: Record<string, string>;
  /** Socket of the agent to ask; null: the agent of `node`, or the only one there is. */
  agentSocket: string | null;
  node: string | null;
  runDir: string;
  /** Its share of new connections beside others of its services; null: 1. */
  weight: number | null;
  /** What of its traffic the node's data path is not to take. */
  annotations: Record<string, string>;
  /** The command speaks HBONE by itself. */
  nativeTunnel: boolean;
  /** Null: as who calls. */
  user: UserText | null;
  /** Beyond those that each workload has. */
  capAdd: readonly CapabilityName[];
  /** Paths that stay as the machine has them. */
  share: readonly string[];
  /** Leaves it running in the background, with what it prints in a log. */
  detach: boolean;
  /** Where that log is kept. */
  stateDir: string;
  /** The command and its arguments: at least one word. */
  command: readonly string[];
};

type Parsed = Omit<
  RunOptions,
  'weight' | 'labels' | 'annotations' | 'agentSocket' | 'node' | 'user' | 'command' | keyof LaunchWishes
> &
  ParsedLaunch & {
    label: Record<string, string>;
    annotation: Record<string, string>;
    user?: UserText;
    weight?: number;
    agentSocket?: string;
    node?: string;
  };

/** `weft run`: one process as a workload of the mesh. */
export function runCommand(act: Act<RunOptions>): Command {
  const command = makeCommand('run', 'Mesh:', 'Run a command as a workload of the mesh', [
    {
      command: 'weft run --user www-data --name web --service-account web --label app=web -- python3 -m http.server 8080',
      does: 'run a web server that Services with the selector app=web send to, as a user who owns nothing of this machine',
    },
    { command: 'weft run --user nobody --name shell --service-account tester -- bash', does: 'get a shell inside the mesh' },
    {
      command: 'weft run --user nobody --memory 256m --cpus 0.5 --env MODE=test --name job --service-account job -- ./job',
      does: 'run a job with half a processor and a variable of its own',
    },
    {
      command: 'weft run -d -p 8080:80 --user www-data --name site --service-account site -- nginx -g "daemon off;"',
      does: 'let programs outside the mesh reach port 80 of it by port 8080 of this machine',
    },
    {
      command: 'weft run -d --restart always --user nobody --name web --service-account web -- python3 -m http.server 8080',
      does: 'leave a server running in the background, and start it again whenever it ends',
    },
  ])
    .description(
      'Run a command as a workload of the mesh: with a network namespace, an address and an identity of its own, and its name as the hostname. Signals go to the command, its exit code is the exit code here, and when it ends the workload is gone.',
    )
    .usage('--name <name> --service-account <name> [options] -- <command...>')
    .argument('<command...>', 'the command and its arguments; write -- before it')
    .option('--file <file>', 'take options and command from this YAML file; to be the first option', notFirst)
    .requiredOption('--name <name>', "the workload's name, a DNS label", readWorkloadName)
    .requiredOption('--service-account <name>', 'the service account in its identity', readWorkloadName)
    .option('--namespace <name>', 'the namespace in its identity', readWorkloadName, 'default')
    .option('--label <key=value>', 'a label that selectors can match; repeat for more', collectLabel, {})
    .option(
      '--annotation <key=value>',
      'what of its traffic is not captured (docs/security.md); repeat for more',
      collectAnnotation,
      {},
    )
    .option('--weight <n>', 'its share of new connections beside others of its services (default: 1)', readWeight)
    .addOption(userOption())
    .addOption(capAddOption())
    .addOption(shareOption());
  return (
    withLaunchOptions(command)
      .option('-d, --detach', 'leave it running in the background; weft logs shows what it prints', false)
      .option('--node <name>', 'the node to run on, when this machine has several agents', readName)
      .option('--agent-socket <path>', "the agent's socket (default: the only agent below --run-dir)")
      .addOption(runDirOption())
      .addOption(stateDirOption())
      .addOption(new Option('--native-tunnel', 'the command speaks HBONE by itself').default(false).hideHelp())
      // From the first word on that is no option, all belongs to the command.
      .passThroughOptions()
      .action((words: string[], { label, annotation, agentSocket, node, user, weight, ...rest }: Parsed) =>
        act({
          ...takeLaunch(rest),
          user: user ?? null,
          weight: weight ?? null,
          labels: label,
          annotations: annotation,
          agentSocket: agentSocket ?? null,
          node: node ?? null,
          command: words,
        }),
      )
  );
}

/** What the file tells is put in its place before the line is read. */
function notFirst(): never {
  throw new InvalidArgumentError('Write it first: weft run --file FILE, then other options.');
}

/** Which user the command runs as; `usually`: who, when nobody says. */
export function userOption(usually = 'who called sudo, or nobody'): Option {
  return new Option(
    '--user <user[:group]>',
    `run the command as this user of the machine, by name or number (default: ${usually})`,
  ).argParser(readUser);
}

/** What the command may do beyond what every workload may. */
export function capAddOption(): Option {
  return new Option('--cap-add <capability>', 'leave the command a capability, such as NET_RAW; repeat for more')
    .argParser(collectCapability)
    .default([], 'none');
}

/** What of the machine the command sees beyond what every workload sees, or may write. */
export function shareOption(): Option {
  return new Option('--share <path>', 'leave a path of /run, /dev, /usr or /etc as this machine has it; repeat for more')
    .argParser(collectPath)
    .default([], 'none');
}

/** A sentence for each capability with which a workload can leave the mesh. */
export function capabilityWarnings(added: readonly CapabilityName[]): string[] {
  return added
    .filter((name) => CAPABILITIES[name].leaves)
    .map((name) => `weft: with ${name} the command can leave the mesh and take this machine (docs/capabilities.md)\n`);
}

/** What options say of the agent to ask. */
export type AgentChoice = { agentSocket: string | null; node: string | null; runDir: string };

/** An agent that has a socket on this machine. */
export type AgentPlace = { node: string; socketPath: string };

/**
 * The socket of the agent to ask: the given one, that of `node`, or that of the only one that `find` knows. With several
 * none is guessed: a workload on the wrong node would work, and be hard to explain. Errors: WEFT_NO_AGENT, WEFT_WHICH_AGENT.
 */
export function chooseAgentSocket(choice: AgentChoice, find: () => readonly AgentPlace[]): string {
  if (choice.agentSocket !== null) return choice.agentSocket;
  const agents = find();
  const names = agents.map(({ node }) => node).join(', ');
  if (choice.node !== null) {
    const found = agents.find(({ node }) => node === choice.node);
    if (found !== undefined) return found.socketPath;
    throw new WeftError('WEFT_NO_AGENT', `no agent of node "${choice.node}" has a socket below ${choice.runDir}`, {
      remedy: agents.length > 0 ? `write --node with one of: ${names}` : 'start one with weft up or weft agent',
    });
  }
  const [only, second] = agents;
  if (only === undefined) {
    throw new WeftError('WEFT_NO_AGENT', `no agent has a socket below ${choice.runDir}`, {
      remedy: 'start the mesh with weft up DIR, or name the socket with --agent-socket',
    });
  }
  if (second !== undefined) {
    throw new WeftError('WEFT_WHICH_AGENT', `several agents run on this machine: ${names}`, {
      remedy: 'choose one with --node NAME',
    });
  }
  return only.socketPath;
}

/** A workload that was to run in the background, and ended before it did; `log`: what came of it. */
export function runFailed({ namespace, name }: Pick<RunOptions, 'namespace' | 'name'>, log: string): WeftError {
  const lines = log.split('\n').map((line) => readLogLine(line)?.text ?? line);
  return new WeftError('WEFT_RUN_FAILED', `workload ${namespace}/${name} did not start`, {
    cause: new Error(`\n${lines.join('\n')}`),
    remedy: 'do what the error above says',
  });
}
