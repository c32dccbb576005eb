import { type Command, Option } from 'commander';
import { type ControlAccess, controlAccess } from './agent.ts';
import { type Act, makeCommand } from './command.ts';
import { readAddressOrSocket, readName } from './option-values.ts';

/** What `weft waypoint` is told. */
export type WaypointOptions = {
  namespace: string;
  /** Name of the Gateway resource that declares it. */
  gateway: string;
  serviceAccount: string;
  /** Node it runs on. */
  node: string;
  /** The address is `host:port`, or `unix:<path>` from within a sandbox. */
  control: ControlAccess;
  /** Where the node's maps are pinned: attested flows are read there. */
  pinDir: string;
};

type Parsed = Omit<WaypointOptions, 'control'> & { control?: string; controlRoot?: string; tokenFile?: string };

/** `weft waypoint`: one waypoint; the control plane starts it inside a sandbox of its own. */
export function waypointCommand(act: Act<WaypointOptions>): Command {
  return makeCommand('waypoint', 'Parts of a mesh of several machines:', 'Run a waypoint (the control plane does this)', [])
    .description(
      'Run one waypoint. The control plane starts waypoints by itself, one for each Gateway of class weft-waypoint or istio-waypoint; there is no need to run this by hand.',
    )
    .addOption(mandatory('--namespace <name>', readName))
    .addOption(mandatory('--gateway <name>', readName))
    .addOption(mandatory('--service-account <name>', readName))
    .addOption(mandatory('--node <name>', readName))
    .addOption(mandatory('--pin-dir <dir>'))
    .addOption(new Option('--control <address>').argParser(readAddressOrSocket).hideHelp())
    .addOption(new Option('--control-root <file>').hideHelp())
    .addOption(new Option('--token-file <file>').hideHelp())
    .action(({ control, controlRoot, tokenFile, ...rest }: Parsed, command: Command) => {
      const given = { ...(control && { control }), ...(controlRoot && { controlRoot }), ...(tokenFile && { tokenFile }) };
      return act({ ...rest, control: controlAccess(given, command) });
    });
}

/** Nobody writes these by hand, so they would only clutter the help. */
function mandatory(flags: string, read?: (text: string) => string): Option {
  const option = new Option(flags).hideHelp().makeOptionMandatory();
  return read === undefined ? option : option.argParser(read);
}
