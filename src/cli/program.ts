import { Command, type Option } from 'commander';
import { type AgentOptions, agentCommand } from './agent.ts';
import { type BenchOptions, benchCommand } from './bench.ts';
import type { Act } from './command.ts';
import { type ControlOptions, controlCommand } from './control.ts';
import { type DemoOptions, demoCommand } from './demo.ts';
import { type LabRequest, labCommand } from './lab.ts';
import { type RunOptions, runCommand } from './run.ts';
import { type StatusOptions, statusCommand } from './status.ts';
import { type TokenOptions, tokenCommand } from './token.ts';
import { type UninstallOptions, uninstallCommand } from './uninstall.ts';
import { type UpOptions, upCommand } from './up.ts';
import { type ValidateOptions, validateCommand } from './validate.ts';
import { versionCommand } from './version.ts';
import { type WaypointOptions, waypointCommand } from './waypoint.ts';

/** Does what a command says; resolves to the exit code of the process. */
export type Action<Options> = (options: Options) => Promise<number>;

/** What each command does. */
export type Actions = {
  up: Action<UpOptions>;
  run: Action<RunOptions>;
  uninstall: Action<UninstallOptions>;
  control: Action<ControlOptions>;
  agent: Action<AgentOptions>;
  waypoint: Action<WaypointOptions>;
  token: Action<TokenOptions>;
  status: Action<StatusOptions>;
  validate: Action<ValidateOptions>;
  demo: Action<DemoOptions>;
  lab: Action<LabRequest>;
  bench: Action<BenchOptions>;
  version: Action<Record<string, never>>;
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
    .enablePositionalOptions()
    .showHelpAfterError('remedy: see weft --help')
    .addHelpText('after', '\nweft <command> --help explains a command and shows examples.')
    .configureHelp({ optionDescription: describeOption })
    .exitOverride()
    .configureOutput({
      writeOut: output.out,
      writeErr: output.err,
      getOutHelpWidth: () => output.columns,
      getErrHelpWidth: () => output.columns,
      getOutHasColors: () => false,
      getErrHasColors: () => false,
      outputError: (message, write) => write(usageError(message)),
    });

  const run = <Options>(action: Action<Options>): Act<Options> => {
    return async (options) => onExit(await action(options));
  };
  const commands = [
    ...[upCommand(run(actions.up)), runCommand(run(actions.run)), uninstallCommand(run(actions.uninstall))],
    ...[statusCommand(run(actions.status)), validateCommand(run(actions.validate))],
    ...[labCommand(run(actions.lab)), demoCommand(run(actions.demo)), benchCommand(run(actions.bench))],
    versionCommand(run(actions.version)),
    ...[controlCommand(run(actions.control)), agentCommand(run(actions.agent))],
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
  return `weft: ${message.replace(/^error: /, '')}`;
}

/** An option's sentence with its default, where there is one worth telling. */
function describeOption(option: Option): string {
  const fallback = option.defaultValueDescription ?? option.defaultValue;
  return typeof fallback === 'string' ? `${option.description} (default: ${fallback})` : option.description;
}
