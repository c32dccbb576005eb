import type { Clock } from '#model/effects/clock.ts';
import { fieldsOneByOne, type Log, SharedFields } from '#model/effects/log.ts';
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
type Ledger = {
  /** Which tells how many were left out: children may have a form in which that cannot be told. */
  readonly log: Log;
  readonly clock: Clock;
  readonly bounds: LineBounds;
  readonly groups: Map<string, Group>;
  isWaiting: boolean;
  /** The line before this one, and its group: failures come in bursts of one kind, and a comparison costs less than a key. */
  last: { readonly line: Line; readonly message: string; readonly group: Group } | null;
};

type Line = Readonly<Record<string, unknown>>;

/**
 * A log whose disk no workload, client or peer can fill: of lines that are alike (same sentence, cause and workload) the
 * first of each window are written, and one line at its end counts the rest. Limited is what tells of a failure: warnings,
 * errors, and whatever has a cause. Metrics are counted elsewhere, and stay exact.
 */
export function limitedLog(log: Log, clock: Clock, bounds: LineBounds = TELEMETRY): Log {
  return limited(log, { log, clock, bounds, groups: new Map(), isWaiting: false, last: null });
}

function limited(log: Log, ledger: Ledger): Log {
  const write = (level: Level, fields: object, message: string): void => {
    if (isFailure(level, fields) && !admit(ledger, level, flat(fields), message)) return;
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

/** The fields one by one; the object itself where it has no others. */
function flat(fields: object): Line {
  const line = fields as Line;
  for (const name in line) if (line[name] instanceof SharedFields) return fieldsOneByOne(fields);
  return line;
}

/** Whether this line is among the first of its group; if not it is counted, for the line at the end of the window. */
function admit(ledger: Ledger, level: Level, line: Line, message: string): boolean {
  const { bounds, clock, last } = ledger;
  const isLikeLast = last !== null && last.message === message && areAlike(last.line, line);
  const group = isLikeLast ? last.group : groupOf(ledger, level, line, message);
  if (!isLikeLast) ledger.last = { line, message, group };
  if (!ledger.isWaiting) {
    ledger.isWaiting = true;
    clock.after(bounds.alikeWindowMs, () => endWindow(ledger));
  }
  if (group.written >= bounds.alikeLinesMax) {
    group.leftOut++;
    return false;
  }
  group.written++;
  return true;
}

function groupOf({ groups, bounds }: Ledger, level: Level, line: Line, message: string): Group {
  const key = keyOf(line, message);
  const known = groups.get(key);
  if (known !== undefined) return known;
  // Beyond the bound all further groups are one: the memory for them is no more a client's to take than the disk.
  const isFull = groups.size >= bounds.alikeGroupsMax;
  const name = isFull ? '' : key;
  const common = isFull ? {} : commonOf(line);
  const group = groups.get(name) ?? { level, message: isFull ? 'various' : message, common, written: 0, leftOut: 0 };
  groups.set(name, group);
  return group;
}

/** One window for all groups: what it left out is told, and each may write again. */
function endWindow(ledger: Ledger): void {
  const ended = [...ledger.groups.values()];
  ledger.groups.clear();
  ledger.last = null;
  ledger.isWaiting = false;
  for (const { level, message, common, leftOut } of ended) {
    if (leftOut > 0) ledger.log[level]({ ...common, left_out: leftOut }, `and ${leftOut} more like it: ${message}`);
  }
}

/** What commonOf finds, as a text: most lines belong to a group that is there, and need no object of it. */
function keyOf(line: Line, message: string): string {
  let key = message;
  for (const name of COMMON) if (line[name] !== undefined) key += `|${line[name]}`;
  const [workload, namespace] = partyOf(line);
  if (line[workload] !== undefined) key += `|${line[workload]}`;
  return line[namespace] === undefined ? key : `${key}|${line[namespace]}`;
}

/** Whether the keys of two lines with one message are the same: false is no proof that they are not. */
function areAlike(a: Line, b: Line): boolean {
  for (const name of COMMON) if (a[name] !== b[name]) return false;
  const [workload, namespace] = partyOf(a);
  return a[workload] === b[workload] && a[namespace] === b[namespace];
}

function commonOf(line: Line): Record<string, unknown> {
  const common: Record<string, unknown> = {};
  for (const name of [...COMMON, ...partyOf(line)]) if (line[name] !== undefined) common[name] = line[name];
  return common;
}

/** The workload that a line is about is the client where its agent tells, and else the one that was dialled. */
function partyOf({ direction }: Line): typeof CLIENT | typeof SERVER {
  return direction === 'outbound' ? CLIENT : SERVER;
}
