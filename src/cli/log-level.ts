import { type Command, InvalidArgumentError } from 'commander';
import { WeftError } from '#model/error.ts';
import { LOG_LEVELS, type LogLevel, readLogLevel } from '#model/telemetry/log-level.ts';
import { type Act, type DataFormat, formatData, makeCommand, outputOption, runDirOption } from './command.ts';
import { formatTable } from './text-format.ts';

/** What is to be changed: the level of the parts that `component` names; null: of all. */
export type LevelChange = { component: string | null; level: LogLevel };

/** What `weft log-level` is told. `changes` empty: only shown. */
export type LogLevelOptions = { changes: readonly LevelChange[]; runDir: string; output: 'table' | DataFormat };

/** `weft log-level`: how much the running parts tell. */
export function logLevelCommand(act: Act<LogLevelOptions>): Command {
  return makeCommand('log-level', 'Look and check:', 'Show or change how much the running parts of the mesh tell', [
    { command: 'weft log-level', does: 'see the level of each part of this machine' },
    { command: 'weft log-level debug', does: 'make all of them tell everything' },
    { command: 'weft log-level agent=debug control=info', does: 'only the agents, and the control plane as usual' },
    { command: 'weft log-level waypoint/shop/waypoint=debug', does: 'one waypoint, by namespace and Gateway' },
  ])
    .description(
      'Show or change how much the running parts of the mesh on this machine tell in their logs. A part is control, agent/NODE or waypoint/NAMESPACE/GATEWAY; agent and waypoint mean all of them. A level lasts until the part ends; WEFT_LOG_LEVEL says the one that it begins with.',
    )
    .argument(
      '[component=level...]',
      `a level (${LOG_LEVELS.join(', ')}), for all parts or for the one before the sign`,
      collectChange,
      [],
    )
    .addOption(outputOption('table'))
    .addOption(runDirOption())
    .action((changes: LevelChange[], rest: Pick<LogLevelOptions, 'runDir' | 'output'>) => act({ ...rest, changes }));
}

function collectChange(text: string, before: readonly LevelChange[]): LevelChange[] {
  const at = text.lastIndexOf('=');
  const level = readLogLevel(text.slice(at + 1));
  if (level === null || at === 0)
    throw new InvalidArgumentError(`Write LEVEL or COMPONENT=LEVEL; a level is one of ${LOG_LEVELS.join(', ')}.`);
  return [...before, { component: at < 0 ? null : text.slice(0, at), level }];
}

/** A running part whose log has a level. Errors of `level` and `setLevel`: those of its API. */
export type Teller = { name: string; level(): Promise<LogLevel>; setLevel(level: LogLevel): Promise<LogLevel> };

/** The level of a part's log; `error`: why it does not answer, with `level` null. */
export type ToldLevel = { component: string; level: LogLevel | null; error: string | null };

/**
 * Changes levels in the order given, and tells that of each part. A part that does not answer keeps none of the others from being
 * changed. Errors: WEFT_NO_COMPONENT when a change means none of the parts, and none is changed then; WEFT_NO_AGENT without parts.
 */
export async function changeLevels(changes: readonly LevelChange[], tellers: readonly Teller[]): Promise<ToldLevel[]> {
  if (tellers.length === 0) {
    throw new WeftError('WEFT_NOT_RUNNING', 'no part of a mesh runs on this machine', {
      remedy: 'start it with weft up DIR, or name another place with --run-dir',
    });
  }
  for (const { component } of changes) {
    if (tellers.some(({ name }) => means(component, name))) continue;
    throw new WeftError('WEFT_NO_COMPONENT', `no part ${component} runs on this machine`, {
      remedy: `name one of ${tellers.map(({ name }) => name).join(', ')}`,
    });
  }
  return Promise.all(
    tellers.map(async ({ name, level, setLevel }) => {
      const wanted = changes.findLast(({ component }) => means(component, name));
      try {
        return { component: name, level: await (wanted === undefined ? level() : setLevel(wanted.level)), error: null };
      } catch (error) {
        if (!(error instanceof WeftError)) throw error;
        return { component: name, level: null, error: error.message };
      }
    }),
  );
}

/** `agent` means `agent/one`; nothing means all. */
function means(component: string | null, name: string): boolean {
  return component === null || component === name || name.startsWith(`${component}/`);
}

/** What `weft log-level` prints. */
export async function formatLevels(levels: readonly ToldLevel[], output: LogLevelOptions['output']): Promise<string> {
  if (output !== 'table') return formatData(levels, output);
  const rows = levels.map(({ component, level, error }) => [component, level ?? `does not answer: ${error}`]);
  return formatTable(['COMPONENT', 'LEVEL'], rows);
}
