import type { Command } from 'commander';
import type { NodeGrant } from '#model/trust/grant.ts';
import { type Act, controlSocketOption, makeCommand } from './command.ts';
import { collectCidr, collectIdentity, readDurationSeconds, readName } from './option-values.ts';

/** What `weft token` is told: whose token, what the node is trusted with, and the socket of the control plane that makes it. */
export type TokenOptions = { node: string; socket: string } & (
  | { kind: 'make'; grant: NodeGrant; ttlSeconds: number | null }
  /** Refuses every token of the node from now on. */
  | { kind: 'revoke' }
);

type Parsed = {
  identity: readonly string[];
  addresses: readonly string[];
  waypoints?: true;
  ttl?: number;
  revoke?: true;
  socket: string;
};

/**
 * `weft token`: a token for the agent of another node. It goes to standard output alone, so that it can be redirected
 * into the file that `weft agent --token-file` reads.
 */
export function tokenCommand(act: Act<TokenOptions>): Command {
  return makeCommand('token', 'Parts of a mesh of several machines:', 'Print a token with which an agent proves its node', [
    {
      command: "weft token node-2 --identity 'shop/*' --addresses 10.41.2.0/24 --addresses fd41:0:0:2::/64 > node-2.token",
      does: 'node-2 may run any workload of namespace shop, with addresses of these ranges; keep the file as secret as a password',
    },
    { command: 'weft token node-2 --revoke', does: 'refuse every token of node-2 that was made until now' },
  ])
    .description(
      'Print a token with which an agent proves its node. The node is trusted with what its token names and nothing else: the control plane refuses workloads of other identities or addresses, and certificates for them.',
    )
    .usage('<node> --identity <ns/account>... --addresses <cidr>... [options]')
    .argument('<node>', 'the node whose agent will use it', readName)
    .option(
      '--identity <ns/account>',
      'an identity that the node may run, * for any part of a name; repeat for more',
      collectIdentity,
      [],
    )
    .option('--addresses <cidr>', 'a range that addresses of its workloads lie in; repeat for more', collectCidr, [])
    .option('--waypoints', 'the node may run the waypoints of the mesh')
    .option('--ttl <duration>', 'how long the token is good, such as 12h or 30d (default: 365d)', readDurationSeconds)
    .option('--revoke', 'make none; refuse every token of the node that was made until now')
    .addOption(controlSocketOption())
    .action((node: string, parsed: Parsed, command: Command) => act(optionsOf(node, parsed, command)));
}

/** Ends with a usage error for a token that would be good for nothing: an older command line made one for everything. */
function optionsOf(node: string, parsed: Parsed, command: Command): TokenOptions {
  const { identity, addresses, waypoints = false, ttl, revoke, socket } = parsed;
  if (revoke) return { kind: 'revoke', node, socket };
  if ((identity.length === 0 && !waypoints) || addresses.length === 0) {
    const missing =
      addresses.length === 0 ? '--addresses <cidr>, the pools of its agent' : "--identity <ns/account>, such as '*/*'";
    command.error(`error: a node is trusted with what its token names, and this one lacks ${missing}`);
  }
  return { kind: 'make', node, grant: { identities: identity, addresses, waypoints }, ttlSeconds: ttl ?? null, socket };
}
