import type { Command } from 'commander';
import { type Act, makeCommand } from './command.ts';

/** What `weft validate` is told. */
export type ValidateOptions = { paths: readonly string[] };

/** `weft validate`: what is wrong with resources, before they are used. */
export function validateCommand(act: Act<ValidateOptions>): Command {
  return makeCommand('validate', 'Look and check:', 'Check YAML resources without applying them', [
    { command: 'weft validate mesh/', does: 'check every YAML file in a directory; the exit code is 1 when one has an error' },
  ])
    .description(
      'Check YAML resources without applying them, exactly as the control plane would read them. Each finding names its file, line and field, and what to write instead. The exit code is 1 when there is an error.',
    )
    .argument('<path...>', 'files or directories')
    .action((paths: string[]) => act({ paths }));
}
