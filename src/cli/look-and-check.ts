import { type Command, Option } from 'commander';
import { type Act, type DataFormat, formatData, jsonFileOption, makeCommand, outputOption } from './command.ts';

/** What `weft validate` is told. */
export type ValidateOptions = { paths: readonly string[]; output: 'text' | DataFormat };

/** `weft validate`: what is wrong with resources, before they are used. */
export function validateCommand(act: Act<ValidateOptions>): Command {
  return makeCommand('validate', 'Look and check:', 'Check YAML resources without applying them', [
    { command: 'weft validate mesh/', does: 'check every YAML file in a directory; the exit code is 1 when one has an error' },
    { command: 'weft validate mesh/ -o json', does: 'the same for a program' },
  ])
    .description(
      'Check YAML resources without applying them, exactly as the control plane would read them. Each finding names its file, line and field, and what to write instead. The exit code is 1 when there is an error.',
    )
    .argument('<path...>', 'files or directories')
    .addOption(outputOption('text'))
    .action((paths: string[], { output }: Pick<ValidateOptions, 'output'>) => act({ paths, output }));
}

/** What `weft demo` is told. */
export type DemoOptions = { once: boolean; jsonPath: string | null };

/** `weft demo`: a bookshop on two virtual nodes. */
export function demoCommand(act: Act<DemoOptions>): Command {
  return makeCommand('demo', 'Look and check:', 'Run a bookshop on two virtual nodes of this machine', [
    { command: 'weft demo', does: 'keep it up, with things to try; Ctrl-C removes everything' },
    { command: 'weft demo --once --json checks.json', does: 'run all checks once and keep the result' },
  ])
    .option('--once', 'run the checks, print them as a table and end; the exit code is 1 when one fails', false)
    .addOption(jsonFileOption())
    .action(({ once, json }: { once: boolean; json?: string }) => act({ once, jsonPath: json ?? null }));
}

/** Groups of rows of `weft bench`, in the order they run. */
export const BENCH_GROUPS = [
  'same',
  'cross',
  'small',
  'waypoint',
  'features',
  'memory',
  'sync',
  'redis',
  'postgres',
  'etcd',
] as const;
/** Need databases that a machine may not have: only where they are asked for. */
const ASKED_FOR: readonly BenchGroup[] = ['redis', 'postgres', 'etcd'];
/** One of them. */
export type BenchGroup = (typeof BENCH_GROUPS)[number];

/** What `weft bench` is told; `groups`: at least one. */
export type BenchOptions = { jsonPath: string | null; groups: readonly BenchGroup[] };

/** `weft bench`: measurements against plain TCP, HAProxy and a relay in C. */
export function benchCommand(act: Act<BenchOptions>): Command {
  return makeCommand('bench', 'Look and check:', 'Measure this machine against plain TCP, HAProxy and a relay in C', [
    { command: 'weft bench --json bench.json', does: 'print the table and keep the figures' },
    { command: 'weft bench --only same cross', does: 'only the rows on one node and across nodes' },
    { command: 'weft bench --only redis postgres etcd', does: 'databases as workloads, which have to be asked for' },
  ])
    .addOption(jsonFileOption())
    .addOption(new Option('--only <group...>', 'only these groups of rows').choices(BENCH_GROUPS))
    .action(({ json, only }: { json?: string; only?: BenchGroup[] }) =>
      act({
        jsonPath: json ?? null,
        groups: BENCH_GROUPS.filter((group) => only?.includes(group) ?? !ASKED_FOR.includes(group)),
      }),
    );
}

/** What `weft version` is told. */
export type VersionOptions = { output: 'text' | DataFormat };

/** The versions that a report of a fault begins with. */
export type Versions = { weft: string; node: string; system: string; kernel: string; architecture: string };

/** What `weft version` prints. */
export async function formatVersions(versions: Versions, output: VersionOptions['output']): Promise<string> {
  if (output !== 'text') return formatData(versions, output);
  return `weft ${versions.weft} (Node.js ${versions.node}, ${versions.system} ${versions.kernel})\n`;
}

/** `weft version`: of Weft, and of what it runs on. */
export function versionCommand(act: Act<VersionOptions>): Command {
  return makeCommand('version', 'Look and check:', 'Print the versions of Weft, Node.js and the kernel', [
    { command: 'weft version -o json', does: 'the same for a program' },
  ])
    .addOption(outputOption('text'))
    .action((options: VersionOptions) => act(options));
}
