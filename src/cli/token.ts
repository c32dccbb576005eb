import type { Command } from 'commander';
import type { NodeGrant } from '#model/trust/grant.ts';
import { type Act, controlSocketOption, type DataFormat, makeCommand, outputOption } from './command.ts';
import { collectCidr, collectIdentity, readDurationSeconds, readName } from './option-values.ts';

/** What `weft token` is told: whose token, what the node is trusted with, and the socket of the control plane that makes it. */
export type TokenOptions = { node: string; socket: string; output: 'text' | DataFormat } & (
  | { kind: 'make'; grant: NodeGrant; ttlSeconds: number | null }
  /** Refuses every token of the node from now on. */
  | { kind: 'revoke'; freeAddresses: boolean }
);

type Parsed = {
  identity: readonly string[];
  addresses: readonly string[];
  waypoints?: true;
  ttl?: number;
  revoke?: true;
  freeAddresses: boolean;
  socket: string;
  output: 'text' | DataFormat;
};

/**
 * `weft token`: a token for the agent of another node. It goes to standard output alone, so that it can be redirected
 * into the file that `weft agent --token-file` reads.
 */
export function tokenCommand(act: Act<TokenOptions>): Command {
  return makeCommand('token', 'Parts of a mesh of several machines:', 'Print a token with which an agent proves its node', [
    {
      command: "weft token node-2 --identity 'shop/*' > node-2.token",
      does: 'node-2 may run any workload of namespace shop, with addresses of ranges of its own; keep the file as secret as a password',
    },
    {
      command: "weft token node-2 --identity 'shop/*' --addresses 10.99.2.0/24 --addresses fd99:0:0:2::/64 > node-2.token",
      does: 'the same with ranges of your choice, which no other node may have',
    },
    { command: 'weft token node-2 --revoke', does: 'refuse every token of node-2 that was made until now' },
    {
      command: 'weft token node-2 --revoke --free-addresses',
      does: 'the same for a node that is gone for good: others may be given its ranges',
    },
  ])
    .description(
      'Print a token with which an agent proves its node. The node is trusted with what its token names and nothing else: the control plane refuses workloads of other identities or addresses, and certificates for them.',
    )
    .usage('<node> --identity <ns/account>... [options]')
    .argument('<node>', 'the node whose agent will use it', readName)
    .option(
      '--identity <ns/account>',
      'an identity that the node may run, * for any part of a name; repeat for more',
      collectIdentity,
      [],
    )
    .option(
      '--addresses <cidr>',
      'a range that addresses of its workloads lie in; repeat for more (default: ranges that no other node has)',
      collectCidr,
      [],
    )
    .option('--waypoints', 'the node may run the waypoints of the mesh')
    .option('--ttl <duration>', 'how long the token is good, such as 12h or 30d (default: 30d)', readDurationSeconds)
    .option('--revoke', 'make none; refuse every token of the node that was made until now')
    .option('--free-addresses', 'with --revoke: the node is gone, so its ranges may be given to others', false)
    .addOption(outputOption('text'))
    .addOption(controlSocketOption())
    .action((node: string, parsed: Parsed, command: Command) => act(optionsOf(node, parsed, command)));
}

/** Ends with a usage error for a token that would be good for nothing. */
function optionsOf(node: string, parsed: Parsed, command: Command): TokenOptions {
  const { identity, addresses, waypoints = false, ttl, revoke, freeAddresses, socket, output } = parsed;
  if (revoke) return { kind: 'revoke', node, freeAddresses, socket, output };
  if (identity.length === 0 && !waypoints)
    command.error(
      "error: a node is trusted with what its token names, and this one lacks --identity <ns/account>, such as '*/*'",
    );
  return { kind: 'make', node, grant: { identities: identity, addresses, waypoints }, ttlSeconds: ttl ?? null, socket, output };
}
