import type { Clock } from '#model/effects/clock.ts';
import { fieldsOneByOne, type Log } from '#model/effects/log.ts';
import { TELEMETRY } from '#model/settings/telemetry.ts';

type Level = 'debug' | 'info' | 'warn' | 'error';

/** Bounds of the lines that are alike. */
export type LineBounds = Pick<typeof TELEMETRY, 'alikeLinesMax' | 'alikeWindowMs' | 'alikeGroupsMax'>;

/** What lines that are alike have in common, besides their sentence. None is a value that a client chooses freely. */
const COMMON = ['direction', 'cause', 'code', 'why', 'workload'] as const;
const CLIENT = ['src.workload', 'src.namespace'] as const;
const SERVER = ['dst.workload', 'dst.namespace'] as const;

type Group = { readonly level: Level; readonly message: string; readonly common: object; written: number; leftOut: number };

/** Where lines are counted, shared by a log and its children. */
type Ledger = { readonly clock: Clock; readonly bounds: LineBounds; readonly groups: Map<string, Group>; isWaiting: boolean };

/**
 * A log whose disk no workload, client or peer can fill: of lines that are alike (same sentence, cause and workload) the
 * first of each window are written, and one line at its end counts the rest. Limited is what tells of a failure: warnings,
 * errors, and whatever has a cause. Metrics are counted elsewhere, and stay exact.
 */
export function limitedLog(log: Log, clock: Clock, bounds: LineBounds = TELEMETRY): Log {
  return limited(log, { clock, bounds, groups: new Map(), isWaiting: false });
}

function limited(log: Log, ledger: Ledger): Log {
  const write = (level: Level, fields: object, message: string): void => {
    if (isFailure(level, fields) && !admit(log, ledger, level, fieldsOneByOne(fields), message)) return;
    log[level](fields, message);
  };
  return {
    debug: (fields, message) => log.debug(fields, message), // whoever asks for these wants all of them
    info: (fields, message) => write('info', fields, message),
    warn: (fields, message) => write('warn', fields, message),
    error: (fields, message) => write('error', fields, message),
    child: (fields) => limited(log.child(fields), ledger),
  };
}

function isFailure(level: Level, fields: object): boolean {
  return level !== 'info' || ('cause' in fields && fields.cause !== undefined);
}

/** Whether this line is among the first of its group; if not it is counted, for the line at the end of the window. */
function admit(log: Log, ledger: Ledger, level: Level, fields: object, message: string): boolean {
  const { groups, bounds, clock } = ledger;
  const key = keyOf(fields, message);
  let group = groups.get(key);
  if (group === undefined) {
    // Beyond the bound all further groups are one: the memory for them is no more a client's to take than the disk.
    const isFull = groups.size >= bounds.alikeGroupsMax;
    const name = isFull ? '' : key;
    const common = isFull ? {} : commonOf(fields);
    group = groups.get(name) ?? {
      level,
      message: isFull ? 'various' : message,
      common,
      written: 0,
      leftOut: 0,
    };
    groups.set(name, group);
  }
  if (!ledger.isWaiting) {
    ledger.isWaiting = true;
    clock.after(bounds.alikeWindowMs, () => endWindow(log, ledger));
  }
  if (group.written >= bounds.alikeLinesMax) {
    group.leftOut++;
    return false;
  }
  group.written++;
  return true;
}

/** One window for all groups: what it left out is told, and each may write again. */
function endWindow(log: Log, ledger: Ledger): void {
  const ended = [...ledger.groups.values()];
  ledger.groups.clear();
  ledger.isWaiting = false;
  for (const { level, message, common, leftOut } of ended) {
    if (leftOut > 0) log[level]({ ...common, left_out: leftOut }, `and ${leftOut} more like it: ${message}`);
  }
}

/** What commonOf finds, as a text: most lines belong to a group that is there, and need no object of it. */
function keyOf(fields: object, message: string): string {
  const line = fields as Readonly<Record<string, unknown>>;
  let key = message;
  for (const name of COMMON) if (line[name] !== undefined) key += `|${line[name]}`;
  const [workload, namespace] = line.direction === 'outbound' ? CLIENT : SERVER;
  if (line[workload] !== undefined) key += `|${line[workload]}`;
  return line[namespace] === undefined ? key : `${key}|${line[namespace]}`;
}

/** The workload that a line is about is the client where its agent tells, and else the one that was dialled. */
function commonOf(fields: object): Record<string, unknown> {
  const line = fields as Readonly<Record<string, unknown>>;
  const common: Record<string, unknown> = {};
  for (const name of [...COMMON, ...(line.direction === 'outbound' ? CLIENT : SERVER)])
    if (line[name] !== undefined) common[name] = line[name];
  return common;
}
