import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { chooseLog, firstLines, type KnownLog, knownLogs, type LogsOptions, listLogs, printed } from '#cli/logs.ts';
import { type DatedLine, dateLines } from '#model/launch/log-dates.ts';
import { COMMAND } from '#model/settings/host.ts';
import { liveRuns } from '#platform/files/run-claim.ts';
import { nodesBelow } from '#platform/files/run-dir.ts';
import { logFiles } from '#platform/telemetry/log-folder.ts';
import { LogFollower } from '#platform/telemetry/log-follower.ts';
import { logsDirectory } from '#protocol/api/places.ts';

/** `weft logs`. Errors: WEFT_NO_LOG, WEFT_WHICH_AGENT, WEFT_NOT_ROOT, and those of the file. */
export async function logs(options: LogsOptions): Promise<number> {
  const folder = logsDirectory(resolve(options.stateDir));
  const known = knownLogs(logFiles(folder));
  if (options.name === null) {
    process.stdout.write(listLogs(known));
    return 0;
  }
  const log = chooseLog(options, known);
  const follower = new LogFollower(join(folder, log.file));
  const print = printer(options);
  const { lines, changedMs } = follower.next();
  for (const line of firstLines(lines, options, { nowMs: Date.now(), changedMs })) print(line);
  if (options.follow) await follow(follower, print, () => isOver(log, options.runDir));
  return 0;
}

/** Until nothing more can come, or nobody reads it. */
async function follow(follower: LogFollower, print: (line: DatedLine) => void, isOver: () => boolean): Promise<void> {
  let isRead = true;
  process.stdout.once('error', () => (isRead = false));
  while (isRead) {
    const over = isOver(); // before the last look
    const { lines, changedMs } = follower.next();
    for (const line of dateLines(lines, changedMs)) print(line);
    if (over) return;
    await sleep(COMMAND.logFollowMs);
  }
}

/** Of a workload: no `weft run` of it lives. Others go on until they are told otherwise. */
function isOver({ name, namespace, node }: KnownLog, runDir: string): boolean {
  if (node === null) return false;
  const place = nodesBelow(runDir).find((one) => one.node === node);
  const runs = place === undefined ? [] : liveRuns(place.directory);
  return !runs.some((run) => run.name === name && run.namespace === namespace);
}

/** Prints lines where the workload did. */
function printer(options: LogsOptions): (line: DatedLine) => void {
  const isStart = { stdout: true, stderr: true };
  return (line) => {
    process[line.stream].write(printed(line, options, isStart[line.stream]));
    isStart[line.stream] = line.isWhole;
  };
}
