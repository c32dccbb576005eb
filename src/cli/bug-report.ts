import type { Command } from 'commander';
import { messageOf } from '#model/error.ts';
import { redact } from '#model/report/redact.ts';
import { redactResource } from '#model/report/redact-resource.ts';
import { REPORT } from '#model/settings/reports.ts';
import { type Act, bpffsOption, makeCommand, runDirOption, stateDirOption } from './command.ts';

/** What `weft bug-report` is told. `file` null: a name with the time, in the directory that one is in. */
export type BugReportOptions = { file: string | null; runDir: string; stateDir: string; bpffs: string };

/** `weft bug-report`: all that somebody elsewhere needs to find a fault, and nothing that is nobody's business. */
export function bugReportCommand(act: Act<BugReportOptions>): Command {
  return makeCommand('bug-report', 'Look and check:', 'Put together what is needed to find a fault, without secrets', [
    { command: 'weft bug-report', does: 'make weft-bug-report-….tar.gz here' },
    {
      command: 'weft bug-report /tmp/fault.tar.gz && tar -xzOf /tmp/fault.tar.gz | less',
      does: 'read all of it before it is sent',
    },
  ])
    .description(
      'Put the status, the findings of weft check, the resources, the end of each log, versions and facts about kernel, network and eBPF into an archive. Keys, tokens, passwords, variables, arguments of containers, data of Secrets and ConfigMaps and queries of addresses are left out, and so is what workloads have printed. Names, addresses and paths of requests stay: look through it before it is sent.',
    )
    .argument('[file]', 'the archive, which must not be there yet (.tar.gz)')
    .addOption(runDirOption())
    .addOption(stateDirOption())
    .addOption(bpffsOption())
    .action((file: string | undefined, rest: Omit<BugReportOptions, 'file'>) => act({ ...rest, file: file ?? null }));
}

/** One file of a report, before anything is taken out of it. `path`: in the report. Errors of `read`: why it is not there. */
export type Source = { path: string; kind: 'text' | 'resources'; read(): string | Promise<string> };

/** One file of a report, as it is handed on. */
export type ReportFile = { path: string; text: string };

/**
 * The files of a report, first a README that lists them and says what is missing and why. Nothing leaves a source but through
 * redaction; resources that cannot be parsed are left out, as nobody can tell what in them is secret.
 */
export async function reportFiles(sources: readonly Source[], title: string): Promise<ReportFile[]> {
  const files: ReportFile[] = [];
  const missing: string[] = [];
  for (const { path, kind, read } of sources) {
    try {
      const text = await read();
      files.push({ path: redact(path), text: kind === 'text' ? redact(cut(text)) : await redactedResources(text) });
    } catch (error) {
      missing.push(`  ${redact(`${path}: ${messageOf(error)}`)}`);
    }
  }
  return [{ path: 'README.txt', text: readmeOf(title, files, missing) }, ...files];
}

function readmeOf(title: string, files: readonly ReportFile[], missing: readonly string[]): string {
  const lines = [
    title,
    '',
    'Left out: keys, tokens, passwords, variables, arguments of containers, data of Secrets and ConfigMaps, queries of',
    'addresses, and what workloads have printed. In here: names, addresses, identities, policies, paths of requests.',
    '',
    'Files:',
    ...files.map(({ path }) => `  ${path}`),
    ...(missing.length === 0 ? [] : ['', 'Not there:', ...missing]),
  ];
  return `${lines.join('\n')}\n`;
}

/** The end is what is newest, and the beginning says what it is: both stay. */
function cut(text: string): string {
  const max = REPORT.factCharactersMax;
  if (text.length <= max) return text;
  return `${text.slice(0, max / 2)}\n… ${text.length - max} characters are left out …\n${text.slice(-max / 2)}`;
}

/** Comments go: people put there what they do not want in force. */
async function redactedResources(text: string): Promise<string> {
  const { yamlDocuments, yamlText } = await import('./yaml.ts');
  const documents = yamlDocuments(text);
  // Not the parser's own words: they show the line.
  if (documents === null) throw new Error('it is no valid YAML or JSON; weft validate says where');
  return documents.map((document) => yamlText(redactResource(document))).join('---\n');
}

/** What `weft bug-report` prints. */
export function formatWritten(file: string, count: number, bytes: number): string {
  return `${file}: ${count} files, ${Math.ceil(bytes / 1_024)} KiB\nLook through it before it is sent: tar -xzOf ${file} | less\n`;
}
