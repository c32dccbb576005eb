import type { Command } from 'commander';
import { type Act, controlSocketOption, makeCommand } from './command.ts';
import { readName } from './option-values.ts';

/** What `weft token` is told. */
export type TokenOptions = { node: string; socket: string };

/** `weft token`: a token for the agent of another node. */
export function tokenCommand(act: Act<TokenOptions>): Command {
  return makeCommand('token', 'Parts of a mesh of several machines:', 'Print a token with which an agent proves its node', [
    { command: 'weft token --node node-2 > node-2.token', does: 'make a token for node-2; keep it as secret as a password' },
  ])
    .usage('--node <name> [options]')
    .requiredOption('--node <name>', 'the node whose agent will use it', readName)
    .addOption(controlSocketOption())
    .action((options: TokenOptions) => act(options));
}
