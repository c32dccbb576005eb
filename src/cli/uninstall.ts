import type { Command } from 'commander';
import { type Act, bpffsOption, makeCommand, runDirOption, stateDirOption } from './command.ts';

/** What `weft uninstall` is told. */
export type UninstallOptions = { runDir: string; stateDir: string; bpffs: string; keepState: boolean };

/** `weft uninstall`: takes this machine out of the mesh. */
export function uninstallCommand(act: Act<UninstallOptions>): Command {
  return makeCommand('uninstall', 'Mesh:', 'Remove every trace of the mesh from this machine', [
    { command: 'weft uninstall --keep-state', does: 'leave the mesh, but keep the certificate authority for the next start' },
  ])
    .description(
      'Remove every trace of the mesh from this machine: eBPF programs, maps, network namespaces, cgroups and files. Running agents and the control plane are asked to do it and to end; after those that crashed it is done for them.',
    )
    .option('--keep-state', 'keep the state directory, and with it the certificate authority', false)
    .addOption(runDirOption())
    .addOption(stateDirOption())
    .addOption(bpffsOption())
    .action((options: UninstallOptions) => act(options));
}
