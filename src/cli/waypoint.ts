import { type Command, Option } from 'commander';
import { accessLogFormatOption } from './access-log.ts';
import { type ControlAccess, controlAccess } from './agent.ts';
import { type Act, makeCommand } from './command.ts';
import { readAddressOrSocket, readDurationSeconds, readName, readThreads } from './option-values.ts';
import { type TraceOptions, traceCollectorOption, traceSamplingOption, tracesOf } from './traces.ts';

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
  /** Where the node's maps are pinned: attested flows are read there. null: nowhere, and every client comes by a tunnel. */
  pinDir: string | null;
  /**
   * Made by one that is told to stop, with its process id: whoever sees it starts the next one, until which this one serves. It exists
   * already, or is not given: none is waited for.
   */
  leavingFile?: string;
  /** For one that nobody takes the place of: how long what it carries may go on; null: another one may come. */
  drain: { carryMs: number } | null;
  /** Threads that serve connections; 0: the waypoint's own does; null: as many as the machine has cores, less one. */
  threads: number | null;
  /** Where it tells of the requests that it traces; null: it traces none. */
  traces: TraceOptions | null;
  /** How it writes the lines of requests, in Envoy's words; null: as fields. */
  accessLogFormat: string | null;
};

type ParsedWaypoint = Omit<WaypointOptions, 'control' | 'drain' | 'threads' | 'traces' | 'accessLogFormat' | 'pinDir'> & {
  drain?: number;
  pinDir?: string;
  traceCollector?: string;
  traceSampling: number;
  accessLogFormat?: string;
  threads?: number;
  control?: string;
  controlRoot?: string;
  tokenFile?: string;
};

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
    .addOption(new Option('--pin-dir <dir>').hideHelp())
    .addOption(new Option('--leaving-file <file>').hideHelp())
    .addOption(new Option('--drain <duration>').argParser(readDurationSeconds).hideHelp())
    .addOption(new Option('--threads <count>').argParser(readThreads).hideHelp())
    .addOption(traceCollectorOption().hideHelp())
    .addOption(traceSamplingOption().hideHelp())
    .addOption(accessLogFormatOption().hideHelp())
    .addOption(new Option('--control <address>').argParser(readAddressOrSocket).hideHelp())
    .addOption(new Option('--control-root <file>').hideHelp())
    .addOption(new Option('--token-file <file>').hideHelp())
    .action(
      (
        {
          control,
          controlRoot,
          tokenFile,
          threads,
          drain,
          traceCollector,
          traceSampling,
          accessLogFormat,
          pinDir,
          ...rest
        }: ParsedWaypoint,
        command: Command,
      ) => {
        // The pieces come one by one, so that the error names every one that is missing.
        const given = { ...(control && { control }), ...(controlRoot && { controlRoot }), ...(tokenFile && { tokenFile }) };
        const tells = { traces: tracesOf(traceCollector, traceSampling), accessLogFormat: accessLogFormat ?? null };
        const reach = { control: controlAccess(given, command), pinDir: pinDir ?? null };
        const carries = drain === undefined ? null : { carryMs: drain * 1_000 };
        return act({ ...rest, ...reach, ...tells, drain: carries, threads: threads ?? null });
      },
    );
}

/** Nobody writes these by hand, so they would only clutter the help. */
function mandatory(flags: string, read?: (text: string) => string): Option {
  const option = new Option(flags).hideHelp().makeOptionMandatory();
  return read === undefined ? option : option.argParser(read);
}
