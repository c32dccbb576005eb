import { type Command, Option } from 'commander';
import type { FindingStatus } from '#protocol/api/control.ts';
import type { AppliedResource, DeletedResource, ListedResource } from '#protocol/api/resources.ts';
import { type Act, controlSocketOption, type DataFormat, formatData, makeCommand, outputOption } from './command.ts';
import { readName, readWorkloadName } from './option-values.ts';
import { formatFinding } from './status-page.ts';
import { formatTable } from './text-format.ts';

const GROUP = 'Resources:';

/** What `weft apply` is told. `-` among the paths: standard input. */
export type ApplyOptions = { paths: readonly string[]; dryRun: boolean; output: 'text' | DataFormat; socket: string };

/** `weft apply`: resources are kept, and in force. */
export function applyCommand(act: Act<ApplyOptions>): Command {
  return makeCommand('apply', GROUP, 'Put resources in force', [
    { command: 'weft apply -f shop.yaml', does: 'put everything that the file describes in force' },
    { command: 'weft apply -f mesh/ --dry-run', does: 'see what would change, and what is wrong' },
  ])
    .description(
      'Put resources in force: the control plane of this machine checks each, writes it where it keeps its configuration, and answers once it is in force. A resource that is there already is replaced in the file that it stands in; a new one gets a file of its own. One that is refused is told, and changes nothing; the others are kept. The exit code is 1 when one was refused.',
    )
    .addOption(fileOption().makeOptionMandatory())
    .option('--dry-run', 'change nothing, and say what would become of each', false)
    .addOption(outputOption('text'))
    .addOption(controlSocketOption())
    .action(({ file, ...options }: { file: string[] } & Omit<ApplyOptions, 'paths'>) => act({ paths: file, ...options }));
}

/** What `weft diff` is told. */
export type DiffOptions = { paths: readonly string[]; socket: string };

/** `weft diff`: what `weft apply` would change. */
export function diffCommand(act: Act<DiffOptions>): Command {
  return makeCommand('diff', GROUP, 'Show what applying resources would change', [
    { command: 'weft diff -f shop.yaml', does: 'see each line that would be another' },
  ])
    .description(
      'Show what applying resources would change, as diff -u prints it: first what is in force, then what would be. The exit code is 0 without a difference, 1 with one, and 2 when something would be refused.',
    )
    .addOption(fileOption().makeOptionMandatory())
    .addOption(controlSocketOption())
    .action(({ file, socket }: { file: string[]; socket: string }) => act({ paths: file, socket }));
}

/** What `weft delete` is told: resources by name, or those that files describe. */
export type DeleteOptions = { ignoreNotFound: boolean; output: 'text' | DataFormat; socket: string } & (
  | { kind: 'files'; paths: readonly string[] }
  | { kind: 'names'; of: string; namespace: string; names: readonly string[] }
);

type ParsedDelete = Pick<DeleteOptions, 'ignoreNotFound' | 'output' | 'socket'> & { file?: string[]; namespace: string };

/** `weft delete`: resources are no longer kept. */
export function deleteCommand(act: Act<DeleteOptions>): Command {
  return makeCommand('delete', GROUP, 'Remove resources', [
    { command: 'weft delete httproute web --namespace shop', does: 'remove one route' },
    { command: 'weft delete -f shop.yaml', does: 'remove everything that the file describes' },
  ])
    .description(
      'Remove resources, by kind and name or those that a file describes. The exit code is 1 when one is not there or cannot be removed.',
    )
    .usage('(<kind> <name...> | -f <path...>) [options]')
    .argument('[kind]', 'such as service, httproute or authorizationpolicy')
    .argument('[name...]', 'the resources', (name: string, before?: string[]) => [...(before ?? []), readName(name)])
    .option('--namespace <name>', 'the namespace that they are in', readWorkloadName, 'default')
    .addOption(fileOption())
    .option('--ignore-not-found', 'one that is not there is no failure', false)
    .addOption(outputOption('text'))
    .addOption(controlSocketOption())
    .action((of: string | undefined, names: string[] | undefined, parsed: ParsedDelete, command: Command) => {
      const { file, namespace, ...common } = parsed;
      if (file !== undefined) {
        if (of !== undefined) command.error('error: name resources or files with -f, not both');
        return act({ kind: 'files', paths: file, ...common });
      }
      if (of === undefined || names === undefined || names.length === 0)
        command.error('error: say what is to be removed: a kind and names, or files with -f');
      return act({ kind: 'names', of: of ?? '', namespace, names: names ?? [], ...common });
    });
}

/** What `weft get` is told. Null: any. */
export type GetOptions = {
  kind: string | null;
  name: string | null;
  namespace: string | null;
  output: 'table' | DataFormat;
  socket: string;
};

/** `weft get`: the resources that are kept. */
export function getCommand(act: Act<GetOptions>): Command {
  return makeCommand('get', GROUP, 'List resources, or print them', [
    { command: 'weft get services', does: 'list every service, and where it is written' },
    { command: 'weft get authorizationpolicy no-strangers --namespace shop -o yaml', does: 'print one policy' },
    { command: 'weft get all -o yaml > mesh.yaml', does: 'keep a copy of everything' },
  ])
    .description('List the resources that the control plane of this machine keeps, or print what they say.')
    .argument('<kind>', 'such as service or services; all for every kind')
    .argument('[name]', 'one of them', readName)
    .option('--namespace <name>', 'those of one namespace (default: of all)', readWorkloadName)
    .addOption(outputOption('table'))
    .addOption(controlSocketOption())
    .action((kind: string, name: string | undefined, options: { namespace?: string } & Pick<GetOptions, 'output' | 'socket'>) =>
      act({ ...options, kind: kind === 'all' ? null : kind, name: name ?? null, namespace: options.namespace ?? null }),
    );
}

function fileOption(): Option {
  return new Option('-f, --file <path...>', 'files or directories of resources; - for standard input');
}

/** What `weft apply` prints: a line for each resource, then what is wrong. */
export async function formatApplied(
  applied: readonly AppliedResource[],
  options: Pick<ApplyOptions, 'output' | 'dryRun'>,
): Promise<string> {
  if (options.output !== 'text') return formatData(applied, options.output);
  const tried = options.dryRun ? ' (dry run)' : '';
  const lines = applied.map(({ resource, outcome, origin }) => {
    const place = origin?.kind === 'file' && outcome !== 'unchanged' ? `, ${origin.file}:${origin.line}` : '';
    return `${resource === '' ? 'a document without a name' : resource} ${outcome}${place}${tried}\n`;
  });
  return `${lines.join('')}${findingsOf(applied)}`;
}

/** What `weft delete` prints. */
export async function formatDeleted(
  deleted: readonly DeletedResource[],
  { output }: Pick<DeleteOptions, 'output'>,
): Promise<string> {
  if (output !== 'text') return formatData(deleted, output);
  const words = { deleted: 'deleted', absent: 'not there', failed: 'stays' };
  const lines = deleted.map(({ resource, outcome }) => `${resource || 'a document without a name'} ${words[outcome]}\n`);
  return `${lines.join('')}${findingsOf(deleted)}`;
}

function findingsOf(resources: readonly { findings: FindingStatus[] }[]): string {
  return [...new Set(resources.flatMap(({ findings }) => findings.map(formatFinding)))].join('');
}

/** What `weft get` prints: a table, or a document that `weft apply` takes; and its exit code. */
export async function listedPage(
  listed: readonly ListedResource[],
  options: GetOptions,
): Promise<{ out: string; err: string; code: number }> {
  const { kind, name, output } = options;
  const sorted = listed.toSorted((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
  const isMissing = listed.length === 0;
  const asked = [kind ?? 'resource', name].filter((word) => word !== null).join(' ');
  const out = output === 'table' ? listedTable(sorted, kind === null) : await listedData(sorted, name !== null, output);
  return { out, err: isMissing ? `weft: there is no ${asked}\n` : '', code: isMissing && name !== null ? 1 : 0 };
}

function keyOf({ kind, namespace, name }: ListedResource): string {
  return `${kind} ${namespace}/${name}`;
}

function listedData(listed: readonly ListedResource[], wantsOne: boolean, output: DataFormat): Promise<string> {
  const items = listed.map(({ object }) => object);
  return formatData(wantsOne && items.length === 1 ? items[0] : { apiVersion: 'v1', kind: 'List', items }, output);
}

function listedTable(listed: readonly ListedResource[], withKind: boolean): string {
  const header = [...(withKind ? ['KIND'] : []), 'NAMESPACE', 'NAME', 'IN FORCE', 'WRITTEN IN'];
  const rows = listed.map(({ kind, namespace, name, inForce, origin }) => [
    ...(withKind ? [kind] : []),
    ...[namespace || '-', name, inForce ? 'yes' : 'no'],
    origin.kind === 'file' ? `${origin.file}:${origin.line}` : '-',
  ]);
  return formatTable(header, rows);
}
