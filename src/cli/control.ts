import type { Command } from 'commander';
import { type Act, controlSocketOption, listenOption, makeCommand, stateDirOption, trustDomainOption } from './command.ts';
import { collect, type HostPort } from './option-values.ts';

/** What `weft control` is told. */
export type ControlOptions = {
  /** Directory of YAML resources. */
  config: string;
  stateDir: string;
  /** Where agents connect. */
  listen: HostPort;
  /** Further names and addresses that agents may dial, for the server's certificate. */
  serverNames: readonly string[];
  trustDomain: string;
  /** Socket of the agent on this machine that runs the waypoints; null: no waypoints are started. */
  waypointAgent: string | null;
  socket: string;
};

type Parsed = Omit<ControlOptions, 'serverNames' | 'waypointAgent'> & { serverName: readonly string[]; waypointAgent?: string };

/** `weft control`: the control plane alone. */
export function controlCommand(act: Act<ControlOptions>): Command {
  return makeCommand('control', 'Parts of a mesh of several machines:', 'Run the control plane', [
    {
      command: 'weft control --config mesh/ --listen 10.0.0.1:15012 --server-name 10.0.0.1',
      does: 'serve agents on other machines',
    },
    { command: 'weft token --node node-2', does: 'then make the token that the agent of node-2 needs' },
  ])
    .description(
      'Run the control plane in the foreground: it watches a directory of YAML resources, serves agents and waypoints what they need to know, and issues certificates.',
    )
    .usage('--config <dir> [options]')
    .requiredOption('--config <dir>', 'directory of YAML resources, watched for changes')
    .addOption(listenOption())
    .option('--server-name <name>', 'a name or address by which agents reach it; repeat for more', collect, [])
    .addOption(trustDomainOption())
    .option('--waypoint-agent <socket>', "socket of this machine's agent; without it no waypoints are started")
    .addOption(controlSocketOption())
    .addOption(stateDirOption())
    .action(({ serverName, waypointAgent, ...rest }: Parsed) =>
      act({ ...rest, serverNames: serverName, waypointAgent: waypointAgent ?? null }),
    );
}
