import type { Argument, Command, Option } from 'commander';

/** What can stand where a value is expected, as far as a shell can propose it. */
export type Proposal =
  | { kind: 'words'; words: readonly string[] }
  | { kind: 'files' }
  | { kind: 'directories' }
  /** Names of running workloads. */
  | { kind: 'workloads' }
  /** A program of this machine, and then its own arguments. */
  | { kind: 'command' }
  | { kind: 'nothing' };

/** An option as it is written. `value`: how the help names its value, without brackets; null: it has none. */
export type OptionShape = {
  long: string;
  short: string | null;
  value: string | null;
  sentence: string;
  proposal: Proposal;
};

/** An argument of a command. */
export type ArgumentShape = { name: string; sentence: string; variadic: boolean; proposal: Proposal };

/** A command as pages and completions describe it: only what its own definition says. */
export type CommandShape = {
  /** As it is typed: `weft`, `weft lab run`. */
  path: string;
  summary: string;
  description: string;
  usage: string;
  args: readonly ArgumentShape[];
  options: readonly OptionShape[];
  /** Each a command line and the sentence over it. */
  examples: readonly { does: string; command: string }[];
  commands: readonly CommandShape[];
};

/** The shape of a command and of all below it; hidden options and the command `help` are left out. */
export function commandShape(command: Command, above = ''): CommandShape {
  const path = `${above}${command.name()}`;
  const help = command.createHelp();
  return {
    path,
    summary: command.summary(),
    description: command.description(),
    usage: command.usage(),
    args: command.registeredArguments.map((argument) => argumentShape(argument, path)),
    options: help.visibleOptions(command).map(optionShape),
    examples: examplesIn(helpText(command)),
    commands: command.commands.map((below) => commandShape(below, `${path} `)),
  };
}

/** A command and all below it, in the order of the help. */
export function withCommandsBelow(shape: CommandShape): CommandShape[] {
  return [shape, ...shape.commands.flatMap(withCommandsBelow)];
}

/** The whole help of a command, with what commander adds only while printing. */
export function helpText(command: Command): string {
  const before = command.configureOutput();
  let text = '';
  command.configureOutput({ writeOut: (part) => (text += part) });
  command.outputHelp();
  command.configureOutput(before);
  return text;
}

function optionShape(option: Option): OptionShape {
  const value = /[<[](.+?)(?:\.\.\.)?[>\]]$/.exec(option.flags)?.[1] ?? null;
  const fallback = option.defaultValueDescription ?? option.defaultValue;
  return {
    long: option.long ?? option.flags,
    short: option.short ?? null,
    value,
    sentence: typeof fallback === 'string' ? `${option.description} (default: ${fallback})` : option.description,
    proposal: option.argChoices === undefined ? proposalFor(value ?? '', '') : { kind: 'words', words: option.argChoices },
  };
}

function argumentShape(argument: Argument, path: string): ArgumentShape {
  const name = argument.name();
  const proposal: Proposal =
    argument.argChoices === undefined ? proposalFor(name, path) : { kind: 'words', words: argument.argChoices };
  return { name, sentence: argument.description, variadic: argument.variadic, proposal };
}

/** By the name that the help gives a value: the same name means the same in every command. */
function proposalFor(name: string, path: string): Proposal {
  if (name === 'dir') return { kind: 'directories' };
  if (['file', 'path', 'socket'].includes(name)) return { kind: 'files' };
  if (name === 'command') return path === 'weft' || path.endsWith(' help') ? { kind: 'nothing' } : { kind: 'command' };
  // An argument, not the value of --name, which makes one; a lab has workloads of its own.
  if (name === 'name' && path !== '' && !path.startsWith('weft lab')) return { kind: 'workloads' };
  return { kind: 'nothing' };
}

/** The examples under a help: makeCommand writes each as a comment and a line below it. */
function examplesIn(help: string): { does: string; command: string }[] {
  const [, text = ''] = help.split('\nExamples:\n');
  return [...text.matchAll(/^ {2}# (.*)\n {2}(\S.*)$/gm)].map(([, does = '', command = '']) => ({ does, command }));
}
