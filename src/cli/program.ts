import { Command, CommanderError, type Option } from 'commander';
import { type AgentOptions, agentCommand } from './agent.ts';
import { type BugReportOptions, bugReportCommand } from './bug-report.ts';
import { type CaOptions, caCommand } from './ca.ts';
import { type CheckOptions, checkCommand } from './check.ts';
import { type InstallOptions, installCommand, upgradeCommand } from './cluster.ts';
import type { Act } from './command.ts';
import { type ControlOptions, controlCommand } from './control.ts';
import { type DescribeOptions, describeCommand } from './describe.ts';
import { type ExecOptions, execCommand } from './exec.ts';
import { type LabRequest, labCommand } from './lab.ts';
import { type LogLevelOptions, logLevelCommand } from './log-level.ts';
import { type LogsOptions, logsCommand } from './logs.ts';
import {
  type BenchOptions,
  benchCommand,
  type DemoOptions,
  demoCommand,
  type ValidateOptions,
  type VersionOptions,
  validateCommand,
  versionCommand,
} from './look-and-check.ts';
import { describeError } from './report-error.ts';
import {
  type ApplyOptions,
  applyCommand,
  type DeleteOptions,
  type DiffOptions,
  deleteCommand,
  diffCommand,
  type GetOptions,
  getCommand,
} from './resources.ts';
import { type RunOptions, runCommand } from './run.ts';
import { type StatusOptions, statusCommand } from './status.ts';
import { type TokenOptions, tokenCommand } from './token.ts';
import { type UninstallOptions, uninstallCommand } from './uninstall.ts';
import { type UpOptions, upCommand } from './up.ts';
import { type WaypointOptions, waypointCommand } from './waypoint.ts';
import { withWorkloadFile } from './workload-file.ts';
import { type DrainOptions, drainCommand, type PsOptions, psCommand, type StopOptions, stopCommand } from './workloads.ts';

/** Does what a command says; resolves to the exit code of the process. */
export type Action<Options> = (options: Options) => Promise<number>;

/** What each command does. */
export type Actions = {
  up: Action<UpOptions>;
  run: Action<RunOptions>;
  exec: Action<ExecOptions>;
  logs: Action<LogsOptions>;
  stop: Action<StopOptions>;
  drain: Action<DrainOptions>;
  ps: Action<PsOptions>;
  install: Action<InstallOptions>;
  uninstall: Action<UninstallOptions>;
  control: Action<ControlOptions>;
  agent: Action<AgentOptions>;
  waypoint: Action<WaypointOptions>;
  token: Action<TokenOptions>;
  ca: Action<CaOptions>;
  status: Action<StatusOptions>;
  describe: Action<DescribeOptions>;
  check: Action<CheckOptions>;
  logLevel: Action<LogLevelOptions>;
  bugReport: Action<BugReportOptions>;
  validate: Action<ValidateOptions>;
  apply: Action<ApplyOptions>;
  get: Action<GetOptions>;
  delete: Action<DeleteOptions>;
  diff: Action<DiffOptions>;
  demo: Action<DemoOptions>;
  lab: Action<LabRequest>;
  bench: Action<BenchOptions>;
  version: Action<VersionOptions>;
};

/** Where the program writes, and how wide its help may be in columns. */
export type Output = { out(text: string): void; err(text: string): void; columns: number };

/** The command line of Weft. `onExit` gets the exit code of the command that ran. */
export function buildProgram(actions: Actions, output: Output, onExit: (code: number) => void): Command {
  const program = new Command('weft');
  program
    .description(
      'Weft, a service mesh without sidecars: identity, encryption and policy for every process, carried by the kernel.',
    )
    .usage('<command> [options]')
    .helpOption('-h, --help', 'show this help')
    .option('-V, --version', 'the same as weft version')
    .addHelpCommand(new Command('help').argument('[command]').summary('Show the help of a command').helpGroup('Look and check:'))
    // Options after the name of a command belong to the command, so `weft run ... -- curl --help` asks curl.
    .enablePositionalOptions()
    .showHelpAfterError('remedy: see weft --help')
    .addHelpText('after', '\nweft <command> --help explains a command and shows examples.')
    .configureHelp({ optionDescription: describeOption })
    // Commander throws instead of ending the process, so that what was written is flushed and tests can run it.
    .exitOverride()
    .configureOutput({
      writeOut: output.out,
      writeErr: output.err,
      getOutHelpWidth: () => output.columns,
      getErrHelpWidth: () => output.columns,
      // No colours: the same text in a terminal, in a file and in docs/cli.md.
      getOutHasColors: () => false,
      getErrHasColors: () => false,
      outputError: (message, write) => write(usageError(message)),
    });

  const run = <Options>(action: Action<Options>): Act<Options> => {
    return async (options) => onExit(await action(options));
  };
  const commands = [
    ...[upCommand(run(actions.up)), runCommand(run(actions.run)), execCommand(run(actions.exec)), stopCommand(run(actions.stop))],
    drainCommand(run(actions.drain)),
    ...[installCommand(run(actions.install)), upgradeCommand(run(actions.install)), uninstallCommand(run(actions.uninstall))],
    ...[psCommand(run(actions.ps)), logsCommand(run(actions.logs))],
    ...[applyCommand(run(actions.apply)), getCommand(run(actions.get)), diffCommand(run(actions.diff))],
    deleteCommand(run(actions.delete)),
    ...[statusCommand(run(actions.status)), describeCommand(run(actions.describe))],
    ...[checkCommand(run(actions.check)), validateCommand(run(actions.validate))],
    ...[logLevelCommand(run(actions.logLevel)), bugReportCommand(run(actions.bugReport))],
    ...[labCommand(run(actions.lab)), demoCommand(run(actions.demo)), benchCommand(run(actions.bench))],
    versionCommand(run(actions.version)),
    ...[controlCommand(run(actions.control)), agentCommand(run(actions.agent))],
    caCommand(run(actions.ca)),
    ...[tokenCommand(run(actions.token)), waypointCommand(run(actions.waypoint))],
  ];
  for (const command of commands) {
    program.addCommand(inherit(program, command, 'weft'));
  }
  return program;
}

/** The command with the settings of the one above it, and so for the commands below it. */
function inherit(parent: Command, command: Command, above: string): Command {
  const name = `${above} ${command.name()}`;
  command.copyInheritedSettings(parent).showHelpAfterError(`remedy: see ${name} --help`);
  for (const below of command.commands) inherit(command, below, name);
  return command;
}

/** Commander's sentence in the words of our other errors. */
function usageError(message: string): string {
  const sentence = message
    .replace(/^error: /, '')
    .replace(/^command-argument value '(.*)' is invalid for argument '([^']*)'\./, "'$1' is no <$2>.");
  return `weft: ${sentence}`;
}

/** An option's sentence with its default, where there is one worth telling. */
function describeOption(option: Option): string {
  const fallback = option.defaultValueDescription ?? option.defaultValue;
  return typeof fallback === 'string' ? `${option.description} (default: ${fallback})` : option.description;
}

/** Exit code of a command line that could not be understood. */
const EXIT_USAGE = 2;
/** Exit code of a command that failed. */
const EXIT_FAILED = 1;

/**
 * Runs one command line (without the program's name) and resolves to the exit code of the process. `readText` reads a file that the line names.
 * Never rejects: every error has been told on `output.err`, with its stack when `debug`.
 */
export async function runProgram(
  words: readonly string[],
  actions: Actions,
  output: Output,
  { debug, readText }: { debug: boolean; readText: (path: string) => string },
): Promise<number> {
  let code = 0;
  const program = buildProgram(actions, output, (exitCode) => {
    code = exitCode;
  });
  const asksVersion = words[0] === '--version' || words[0] === '-V';
  try {
    await program.parseAsync(asksVersion ? ['version'] : await withWorkloadFile(words, readText), { from: 'user' });
    return code;
  } catch (error) {
    // Commander throws to end the program; what there was to say has been said.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT_USAGE;
    output.err(describeError(error, debug));
    return EXIT_FAILED;
  }
}
