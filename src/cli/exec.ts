import type { Command } from 'commander';
import { WeftError } from '#model/error.ts';
import type { Variable } from '#model/launch/environment.ts';
import { type CapabilityName, KEPT } from '#model/rights/capabilities.ts';
import { type Account, type Rights, type UserText, workloadRights } from '#model/rights/rights.ts';
import { type Act, makeCommand, runDirOption } from './command.ts';
import { collectEnv } from './launch-options.ts';
import { readName, readWorkloadName } from './option-values.ts';
import { userOption } from './run.ts';
import type { LiveRun } from './workloads.ts';

/** What `weft exec` is told. `user` null: that of the workload; `workdir` null: the directory that it started in. */
export type ExecOptions = {
  name: string;
  namespace: string;
  node: string | null;
  user: UserText | null;
  env: readonly Variable[];
  workdir: string | null;
  runDir: string;
  command: readonly string[];
};

type Parsed = Omit<ExecOptions, 'name' | 'command' | 'node' | 'user' | 'workdir'> & {
  node?: string;
  user?: UserText;
  workdir?: string;
};

/** `weft exec`: a command beside that of a workload. */
export function execCommand(act: Act<ExecOptions>): Command {
  return makeCommand('exec', 'Mesh:', 'Run a command inside a workload that runs', [
    { command: 'weft exec web -- sh', does: 'look around as web sees its machine and the mesh' },
    { command: 'weft exec web -- curl -sS http://cart/', does: 'ask cart as web would, with its identity' },
  ])
    .description(
      'Run a command beside that of a workload of this machine: in its namespaces and its cgroup, with its variables, as its user and with no more rights than it has. Signals and the terminal go to the command, and its exit code is the exit code here.',
    )
    .usage('[options] <name> -- <command...>')
    .argument('<name>', 'the name of the workload')
    .argument('<command...>', 'the command and its arguments; write -- before it')
    .option('--namespace <name>', 'the namespace that it is in', readWorkloadName, 'default')
    .option('--node <name>', 'the node that it is on, when this machine has several agents', readName)
    .addOption(userOption('that of the workload'))
    .option('-e, --env <name=value>', 'a variable beside those of the workload; repeat for more', collectEnv, [])
    .option('-w, --workdir <dir>', 'the directory that the command starts in (default: that of the workload)')
    .option('-i, --interactive', 'for habit: standard input is always passed on')
    .option('-t, --tty', 'for habit: a terminal is always passed on')
    .addOption(runDirOption())
    .passThroughOptions()
    .action((name: string, words: string[], { node, user, workdir, namespace, env, runDir }: Parsed) =>
      act({
        ...{ name, namespace, env, runDir, node: node ?? null, user: user ?? null, workdir: workdir ?? null },
        command: words[0] === '--' ? words.slice(1) : words, // behind an argument it is one
      }),
    );
}

/** The `weft run` of a workload, among those of this machine. Errors: WEFT_NO_WORKLOAD, WEFT_WHICH_AGENT. */
export function chooseRun(
  { name, namespace, node }: Pick<ExecOptions, 'name' | 'namespace' | 'node'>,
  runs: readonly (LiveRun & { node: string })[],
): LiveRun {
  const found = runs.filter((run) => run.name === name && run.namespace === namespace && (node === null || run.node === node));
  const [only, second] = found;
  if (only === undefined) throw noSuchRun({ name, namespace });
  if (second === undefined) return only;
  throw new WeftError('WEFT_WHICH_AGENT', `${namespace}/${name} runs on ${found.map((run) => run.node).join(' and ')}`, {
    remedy: 'choose one with --node NAME',
  });
}

/** Of a workload whose command does not run now. */
export function noSuchRun({ name, namespace }: { name: string; namespace: string }): WeftError {
  return new WeftError('WEFT_NO_WORKLOAD', `no workload ${namespace}/${name} runs on this machine`, {
    remedy: 'see weft ps; name another namespace with --namespace',
  });
}

/** What a command may do beside that of a workload: no more than its capabilities, as `account`. */
export function rightsBeside(
  account: Account,
  capabilities: readonly CapabilityName[],
): { rights: Rights; added: CapabilityName[] } {
  const added = capabilities.filter((name) => !KEPT.includes(name));
  const { ambient } = workloadRights(account, added);
  return { rights: { account, capabilities, ambient: ambient.filter((name) => capabilities.includes(name)) }, added };
}

/** The variables of a workload that another user of it gets: none that say who he is. */
export function variablesFor(env: Readonly<Record<string, string>>, isOtherUser: boolean): Readonly<Record<string, string>> {
  const left = new Set([
    'LISTEN_FDS',
    'LISTEN_PID',
    'LISTEN_FDNAMES',
    'PWD',
    'OLDPWD',
    ...(isOtherUser ? ['HOME', 'USER', 'LOGNAME'] : []),
  ]);
  return Object.fromEntries(Object.entries(env).filter(([name]) => !left.has(name)));
}
