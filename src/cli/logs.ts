import { type Command, InvalidArgumentError } from 'commander';
import { WeftError } from '#model/error.ts';
import { type DatedLine, dateLines } from '#model/launch/log-dates.ts';
import { type Act, makeCommand, runDirOption, stateDirOption } from './command.ts';
import { readDurationSeconds, readName, readWorkloadName } from './option-values.ts';

/** What `weft logs` is told. `name` null: which logs there are; `tail` and `sinceSeconds` null: from the beginning. */
export type LogsOptions = {
  name: string | null;
  namespace: string;
  node: string | null;
  follow: boolean;
  tail: number | null;
  sinceSeconds: number | null;
  timestamps: boolean;
  runDir: string;
  stateDir: string;
};

type Parsed = Omit<LogsOptions, 'name' | 'node' | 'tail' | 'sinceSeconds'> & { node?: string; tail?: number; since?: number };

/** `weft logs`: what workloads in the background, waypoints and the mesh itself print. */
export function logsCommand(act: Act<LogsOptions>): Command {
  return makeCommand('logs', 'Look and check:', 'Show what a workload in the background has printed', [
    { command: 'weft logs web --tail 20 -f', does: 'the last 20 lines of web, and what follows' },
    { command: 'weft logs up --since 15m', does: 'what weft up --detach has told in the last quarter of an hour' },
    { command: 'weft logs', does: 'which logs there are' },
  ])
    .description(
      'Show what a workload that runs in the background (weft run --detach) has printed, also after its end; of a waypoint by the name of its Gateway, and of weft up --detach by the name up. Each log keeps the newest 8 to 16 MiB.',
    )
    .argument('[name]', 'the name of the workload; without it, which logs there are')
    .option('--namespace <name>', 'the namespace that it is in', readWorkloadName, 'default')
    .option('--node <name>', 'the node that it runs on, when this machine has several agents', readName)
    .option('-f, --follow', 'go on with what it prints, until it ends', false)
    .option('-n, --tail <lines>', 'only so many of the last lines', readCount)
    .option('--since <duration>', 'only what is not older, such as 10m', readDurationSeconds)
    .option('-t, --timestamps', 'with the time of each line', false)
    .addOption(runDirOption())
    .addOption(stateDirOption())
    .action((name: string | undefined, { node, tail, since, ...rest }: Parsed) =>
      act({ ...rest, name: name ?? null, node: node ?? null, tail: tail ?? null, sinceSeconds: since ?? null }),
    );
}

function readCount(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('Write a number of lines, such as 20.');
  return Number(text);
}

/** A log by its file: of a workload (`node` set), a waypoint, or a part of the mesh (`namespace` null). */
export type KnownLog = { file: string; name: string; namespace: string | null; node: string | null };

/** The logs among files of a folder of logs. */
export function knownLogs(files: readonly string[]): KnownLog[] {
  return files.toSorted().flatMap((file): KnownLog[] => {
    const [, ofWorkload, name = '', node = null] = /^workload-([^.@]+)\.([^.@]+)@(.+)\.log$/.exec(file) ?? [];
    if (ofWorkload !== undefined) return [{ file, name, namespace: ofWorkload, node }];
    const [, ofWaypoint, gateway = ''] = /^waypoint-([^.]+)\.(.+)\.log$/.exec(file) ?? [];
    if (ofWaypoint !== undefined) return [{ file, name: gateway, namespace: ofWaypoint, node: null }];
    const [, part] = /^([a-z]+)\.log$/.exec(file) ?? [];
    return part === undefined ? [] : [{ file, name: part, namespace: null, node: null }];
  });
}

/** The log that is asked for: a workload's before a waypoint's, and those before a part's. Errors: WEFT_NO_LOG, WEFT_WHICH_AGENT. */
export function chooseLog(
  { name, namespace, node }: Pick<LogsOptions, 'name' | 'namespace' | 'node'>,
  logs: readonly KnownLog[],
): KnownLog {
  const named = logs.filter((log) => log.name === name && (log.namespace === null || log.namespace === namespace));
  const ofNode = named.filter((log) => log.node !== null && (node === null || log.node === node));
  const others = node === null ? named.filter((log) => log.node === null) : [];
  if (ofNode.length > 1)
    throw new WeftError('WEFT_WHICH_AGENT', `${namespace}/${name} has run on ${ofNode.map((log) => log.node).join(' and ')}`, {
      remedy: 'choose one with --node NAME',
    });
  const found = ofNode[0] ?? others.find((log) => log.namespace !== null) ?? others[0];
  if (found !== undefined) return found;
  throw new WeftError('WEFT_NO_LOG', `there is no log of ${namespace}/${name}`, {
    remedy:
      'see weft logs for those there are; a workload has one when weft run --detach started it, others print where they run',
  });
}

/** What `weft logs` without a name prints. */
export function listLogs(logs: readonly KnownLog[]): string {
  const lines = logs.map(({ name, namespace, node }) => {
    if (namespace === null) return name;
    return `${name}  --namespace ${namespace}${node === null ? '  (waypoint)' : `  --node ${node}`}`;
  });
  return lines.length === 0 ? 'no logs\n' : `${lines.join('\n')}\n`;
}

/** The lines of a log as it is when it is first looked at, without those that were not asked for. */
export function firstLines(
  lines: readonly string[],
  { tail, sinceSeconds }: Pick<LogsOptions, 'tail' | 'sinceSeconds'>,
  { nowMs, changedMs }: { nowMs: number; changedMs: number },
): DatedLine[] {
  const dated = dateLines(lines, changedMs);
  const from = sinceSeconds === null ? 0 : dated.findIndex(({ atMs }) => atMs !== null && atMs >= nowMs - sinceSeconds * 1_000);
  const young = from < 0 ? [] : dated.slice(from);
  if (tail === null) return young;
  // A line may be kept in pieces: the last of them ends it.
  let [at, left] = [young.length, tail];
  while (at > 0 && (left > 0 || young[at - 1]?.isWhole === false)) if (young[--at]?.isWhole === true) left -= 1;
  while (at > 0 && at < young.length && young[at - 1]?.isWhole === false) at -= 1;
  return tail === 0 ? [] : young.slice(at);
}

/** The text of a line as it was printed; `isStart`: nothing of it was printed yet. */
export function printed(
  { time, text, isWhole }: DatedLine,
  { timestamps }: Pick<LogsOptions, 'timestamps'>,
  isStart: boolean,
): string {
  return `${timestamps && isStart && time !== null ? `${time} ` : ''}${text}${isWhole ? '\n' : ''}`;
}
