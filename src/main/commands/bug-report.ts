import { hostname } from 'node:os';
import { join, relative, resolve } from 'node:path';
import { type BugReportOptions, formatWritten, reportFiles, type Source } from '#cli/bug-report.ts';
import { checkReport, formatCheck, usualCheck } from '#cli/check.ts';
import { examine } from '#cli/examine.ts';
import { knownLogs } from '#cli/logs.ts';
import type { StatusReport } from '#cli/status.ts';
import { formatStatus } from '#cli/status-page.ts';
import { gather } from '#main/commands/ask.ts';
import { surveysOfThisMachine } from '#main/commands/check.ts';
import { weftVersion } from '#main/commands/control-access.ts';
import { showProgress } from '#main/commands/progress.ts';
import { REPORT } from '#model/settings/reports.ts';
import { writeArchive } from '#platform/files/report-archive.ts';
import { scanDirectory, textsOf } from '#platform/files/scan-directory.ts';
import { configOf, stateDirOf } from '#platform/survey/processes.ts';
import { type Fact, machineFacts, partFacts } from '#platform/survey/report-facts.ts';
import { logFiles, tailOf } from '#platform/telemetry/log-folder.ts';
import { logsDirectory } from '#protocol/api/places.ts';

/** `weft bug-report`. What cannot be read is told in the report. Errors: WEFT_REPORT_FILE, WEFT_SANDBOX_COMMAND, WEFT_NOT_ROOT. */
export async function bugReport(options: BugReportOptions): Promise<number> {
  const madeAt = new Date().toISOString();
  const folder = `weft-bug-report-${madeAt.slice(0, '2026-01-01T00:00:00'.length).replace(/[^\d]/g, '')}`;
  const archive = resolve(options.file ?? `${folder}.tar.gz`);
  const written = await showProgress('putting the report together', async () => {
    const title = `Weft ${weftVersion()} on ${hostname()}, Node.js ${process.version}, made ${madeAt}`;
    const files = await reportFiles(await sourcesOf(options), title);
    return { count: files.length, bytes: await writeArchive(archive, folder, files) };
  });
  process.stdout.write(formatWritten(archive, written.count, written.bytes));
  return 0;
}

async function sourcesOf(options: BugReportOptions): Promise<Source[]> {
  const status = await gather(options.runDir);
  const control = status.control.kind === 'up' ? status.control.status.pid : null;
  const stateDir = control === null ? options.stateDir : stateDirOf(control, options.stateDir);
  const config = control === null ? null : configOf(control);
  const text = ({ path, read }: Fact): Source => ({ path, kind: 'text', read });
  return [
    ...statusFacts(status, options).map(text),
    ...partsOf(status).flatMap(({ name, pid }) => partFacts(name, pid).map(text)),
    ...machineFacts(options.bpffs).map(text),
    ...logFacts(stateDir).map(text),
    ...(config === null ? [] : await resourceSources(config)),
  ];
}

function statusFacts(status: StatusReport, { runDir, stateDir, bpffs }: BugReportOptions): Fact[] {
  const findings = async (output: 'table' | 'json'): Promise<string> => {
    const { findings: found, lookedAt } = await examine({ ...usualCheck(), runDir, stateDir, bpffs }, surveysOfThisMachine());
    return formatCheck(checkReport(found, lookedAt), output);
  };
  return [
    { path: 'status.txt', read: () => formatStatus(status, 'wide') },
    { path: 'status.json', read: () => formatStatus(status, 'json') },
    { path: 'check.txt', read: () => findings('table') },
  ];
}

function partsOf({ control, nodes }: StatusReport): { name: string; pid: number }[] {
  const agents = nodes.flatMap((node) =>
    node.kind === 'up' ? [{ name: `agent/${node.status.node}`, pid: node.status.pid }] : [],
  );
  return [...(control.kind === 'up' ? [{ name: 'control', pid: control.status.pid }] : []), ...agents];
}

/** Logs of the mesh itself; what workloads print is theirs. */
function logFacts(stateDir: string): Fact[] {
  const folder = logsDirectory(stateDir);
  const own = knownLogs(logFiles(folder)).filter(({ node }) => node === null);
  return own
    .slice(0, REPORT.logsMax)
    .map(({ file }) => ({ path: `logs/${file}`, read: () => tailOf(join(folder, file), REPORT.logBytesMax) }));
}

/** Files of a directory that cannot be read are told in the report, each by its name. */
async function resourceSources(directory: string): Promise<Source[]> {
  const scan = await scanDirectory(directory);
  const read = [...textsOf(scan)].slice(0, REPORT.resourceFilesMax).map(([file, text]): Source => {
    const path = join('resources', relative(directory, file));
    return { path, kind: 'resources', read: () => bounded(text) };
  });
  const missing = [...scan.unread].map(([file, { problem }]): Source => {
    const fail = (): string => {
      throw problem;
    };
    return { path: join('resources', relative(directory, file)), kind: 'resources', read: fail };
  });
  return [...read, ...missing];
}

function bounded(text: string): string {
  if (text.length <= REPORT.resourceBytesMax) return text;
  throw new Error(`it is longer than ${REPORT.resourceBytesMax} bytes`);
}
