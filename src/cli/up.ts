import type { Command } from 'commander';
import {
  type Act,
  listenOption,
  makeCommand,
  pool4Option,
  pool6Option,
  runDirOption,
  stateDirOption,
  trustDomainOption,
} from './command.ts';
import { type HostPort, readName } from './option-values.ts';

/** What `weft up` is told. */
export type UpOptions = {
  /** Directory of YAML resources. */
  directory: string;
  runDir: string;
  stateDir: string;
  /** Null: named after the machine. */
  node: string | null;
  pool4: string;
  pool6: string;
  trustDomain: string;
  /** Where the control plane serves agents. */
  listen: HostPort;
};

type Parsed = Omit<UpOptions, 'directory' | 'node'> & { node?: string };

/** `weft up`: the whole mesh on one machine. */
export function upCommand(act: Act<UpOptions>): Command {
  return makeCommand('up', 'Mesh:', 'Run the whole mesh on this machine', [
    { command: 'weft up mesh/', does: 'serve the YAML files in mesh/; a change applies as soon as a file is saved' },
    {
      command: 'weft run --name web --service-account web -- python3 web.py',
      does: 'then, in another terminal, start a process in the mesh',
    },
  ])
    .description(
      'Run the whole mesh on this machine in the foreground: the control plane, one agent, and the waypoints that the resources in DIR ask for. Ctrl-C stops it and removes everything it put into the kernel.',
    )
    .argument('<dir>', 'directory of YAML resources, watched for changes')
    .option('--node <name>', "this machine's name in the mesh (default: its hostname)", readName)
    .addOption(pool4Option())
    .addOption(pool6Option())
    .addOption(trustDomainOption())
    .addOption(listenOption())
    .addOption(runDirOption())
    .addOption(stateDirOption())
    .action((directory: string, { node, ...rest }: Parsed) => act({ ...rest, directory, node: node ?? null }));
}
