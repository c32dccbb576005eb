import type { Command } from 'commander';
import { type Act, makeCommand, runDirOption } from './command.ts';

/** What `weft status` is told. */
export type StatusOptions = { runDir: string; json: boolean };

/** `weft status`: how the mesh on this machine is. */
export function statusCommand(act: Act<StatusOptions>): Command {
  return makeCommand('status', 'Look and check:', 'Show nodes, workloads, certificates and what is wrong', [
    { command: 'weft status', does: 'see which path connections take, and what is out of date' },
    { command: 'weft status --json', does: 'the same for a program' },
  ])
    .description(
      'Show how the mesh on this machine is: its nodes, its workloads with their identity and the path that connections to them take, the certificates held, and what is out of date or refused.',
    )
    .option('--json', 'print everything that the agents and the control plane report, as JSON', false)
    .addOption(runDirOption())
    .action((options: StatusOptions) => act(options));
}
