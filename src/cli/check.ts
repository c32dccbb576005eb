import type { Command } from 'commander';
import { type CheckFinding, type CheckReport, reportOf } from '#model/check/finding.ts';
import { AREAS, type Area } from '#model/check/row.ts';
import { type ControlAccess, controlAccess } from './agent.ts';
import {
  type Act,
  bpffsOption,
  type DataFormat,
  formatData,
  listenOption,
  makeCommand,
  outputOption,
  pool4Option,
  pool6Option,
  runDirOption,
  stateDirOption,
  USUAL_BPFFS,
  USUAL_LISTEN,
  USUAL_POOLS,
  USUAL_RUN_DIR,
  USUAL_STATE_DIR,
} from './command.ts';
import { type HostPort, readAddress, readName } from './option-values.ts';
import { type Paint, plainText } from './text-format.ts';

/** What `weft check` is told. */
export type CheckOptions = {
  /** Directory of YAML resources; null: what the control plane reads, if one runs here. */
  directory: string | null;
  /** Null: named after the machine. */
  node: string | null;
  runDir: string;
  stateDir: string;
  bpffs: string;
  pool4: string;
  pool6: string;
  listen: HostPort;
  /** The control plane of a node that is to join a mesh; null: this machine's own. */
  control: ControlAccess | null;
  /** How to reach a cluster, which is looked at in place of this machine; null: this machine is. */
  kubeconfig: string | null;
  output: 'table' | DataFormat;
};

/** What is looked at by `weft check` without options. */
export function usualCheck(): CheckOptions {
  return {
    directory: null,
    node: null,
    runDir: USUAL_RUN_DIR,
    stateDir: USUAL_STATE_DIR,
    bpffs: USUAL_BPFFS,
    ...USUAL_POOLS,
    listen: USUAL_LISTEN,
    control: null,
    kubeconfig: null,
    output: 'table',
  };
}

type Parsed = Omit<CheckOptions, 'directory' | 'node' | 'control' | 'kubeconfig'> & {
  kubeconfig?: string;
  node?: string;
  control?: string;
  controlRoot?: string;
  tokenFile?: string;
  controlServerName?: string;
};

/** `weft check`: what is wrong with this machine, or with the mesh that runs on it. */
export function checkCommand(act: Act<CheckOptions>): Command {
  return makeCommand('check', 'Look and check:', 'Look for what is wrong with this machine and its mesh', [
    { command: 'weft check mesh/', does: 'before weft up mesh/: can it run here, and what would be in its way' },
    { command: 'weft check', does: 'of the mesh that runs here: what is broken, or will be soon' },
    {
      command: 'weft check --node node-2 --control 10.0.0.1:15012 --control-root root-cert.pem --token-file node-2.token',
      does: 'before this machine joins the mesh of another one',
    },
    { command: 'weft check --kubeconfig ~/.kube/config', does: 'of a cluster, before the mesh is installed there and after' },
  ])
    .description(
      'Look at this machine as weft up and weft agent need it, and at the parts of a mesh that run on it: kernel, limits, ports, networks, directories, certificates, clocks, control plane, agents, and what dead meshes left. Each finding has a code (docs/checks.md), why it matters and a remedy. The exit code is 1 when one is an error, 0 when there are warnings or nothing. It changes nothing.',
    )
    .argument('[dir]', 'directory of YAML resources, checked as weft validate does')
    .option('--node <name>', "this machine's name in the mesh (default: its hostname)", readName)
    .option('--control <host:port>', 'the control plane that this machine is to join', readAddress)
    .option('--control-root <file>', 'PEM file with its root certificate')
    .option('--control-server-name <name>', 'name in its certificate, where that is not the host that is dialled', readName)
    .option('--token-file <file>', 'file with the token that weft token printed for this node')
    .option('--kubeconfig <file>', 'look at the cluster that this reaches, and the mesh on it, in place of this machine')
    .addOption(pool4Option())
    .addOption(pool6Option())
    .addOption(listenOption())
    .addOption(runDirOption())
    .addOption(stateDirOption())
    .addOption(bpffsOption())
    .addOption(outputOption('table'))
    .action((directory: string | undefined, parsed: Parsed, command: Command) => {
      const { node, control, controlRoot, tokenFile, kubeconfig, controlServerName: _, ...rest } = parsed;
      const joins = control !== undefined || controlRoot !== undefined || tokenFile !== undefined;
      if (kubeconfig !== undefined && (joins || directory !== undefined))
        return command.error('--kubeconfig looks at a cluster: name it alone');
      const access = joins ? controlAccess(parsed, command) : null;
      return act({ ...rest, directory: directory ?? null, node: node ?? null, control: access, kubeconfig: kubeconfig ?? null });
    });
}

/** Findings of areas that were looked at, as a report. */
export function checkReport(findings: readonly CheckFinding[], lookedAt: ReadonlySet<Area>): CheckReport {
  const { areas, level } = reportOf(findings);
  return { level, areas: areas.filter(({ area, findings: own }) => own.length > 0 || lookedAt.has(area)) };
}

const AREA_WIDTH = Math.max(...AREAS.map(({ length }) => length));
const LEVEL_WIDTH = 'warning'.length;

/** What `weft check` prints: a line for each area in which all is well, and each finding with why it matters and its remedy. */
export async function formatCheck(
  { level, areas }: CheckReport,
  output: CheckOptions['output'],
  paint: Paint = plainText,
): Promise<string> {
  if (output !== 'table') return formatData({ level, areas }, output);
  const lines = areas.flatMap(({ area, findings }) =>
    findings.length === 0 ? [head('ok', area, '', paint)] : findings.map((finding) => findingText(finding, paint)),
  );
  return `${lines.join('')}${totalOf(areas.flatMap(({ findings }) => findings))}\n`;
}

function head(level: 'ok' | CheckFinding['level'], area: Area, message: string, paint: Paint): string {
  const colour = level === 'ok' ? 'green' : level === 'error' ? 'red' : 'yellow';
  return `${paint(colour, level.padEnd(LEVEL_WIDTH))}  ${`${area.padEnd(AREA_WIDTH)}  ${message}`.trimEnd()}\n`;
}

function findingText({ level, area, message, code, why, remedy }: CheckFinding, paint: Paint): string {
  return `${head(level, area, `${message} [${code}]`, paint)}  why: ${why}\n  remedy: ${remedy}\n`;
}

function totalOf(findings: readonly CheckFinding[]): string {
  if (findings.length === 0) return 'nothing is wrong';
  const errors = findings.filter(({ level }) => level === 'error').length;
  return `${count(errors, 'error')}, ${count(findings.length - errors, 'warning')}`;
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}
