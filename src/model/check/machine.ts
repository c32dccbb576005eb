import { CHECK } from '#model/settings/checks.ts';
import { type CheckFinding, found } from './finding.ts';

/** What a machine offers beyond what a command refuses to start without. Null: it could not be seen. */
export type MachineFacts = {
  /** What the kernel lacks; null: only root can ask it. */
  features: readonly { feature: string; since: string; loss: string; fatal: boolean }[] | null;
  /** Names of capabilities that root lacks. */
  lacksCapabilities: readonly string[];
  /** Programs that are not installed. `loss`: what is lost without; null: the agent cannot do without. */
  lacksPrograms: readonly { name: string; packageName: string; loss: string | null }[];
  bpffs: { path: string; state: 'bpffs' | 'mountable' | 'occupied' | 'unmountable' };
  /** net.core.bpf_jit_enable. */
  jit: string | null;
  /** Descriptors that a process may open, with whose limit it is. */
  openFiles: readonly { who: string; max: number }[];
  memoryBytes: number | null;
};

/** What is wrong with a machine. */
export function machineFindings(facts: MachineFacts): CheckFinding[] {
  return [
    ...facts.lacksCapabilities.map((name) => found('WEFT_CHECK_CAPABILITY', `root lacks ${name}`)),
    ...(facts.features ?? []).map(({ feature, since, loss, fatal }) =>
      found(fatal ? 'WEFT_KERNEL' : 'WEFT_CHECK_KERNEL_FEATURE', `the kernel lacks ${feature} (Linux ${since}): ${loss}`),
    ),
    ...facts.lacksPrograms.map(lacking),
    ...bpffsFindings(facts.bpffs),
    ...(facts.jit === '0' ? [found('WEFT_CHECK_JIT', 'net.core.bpf_jit_enable is 0')] : []),
    ...facts.openFiles
      .filter(({ max }) => max < CHECK.openFilesMin)
      .map(({ who, max }) => found('WEFT_CHECK_OPEN_FILES', `${who} may open ${max} files, less than ${CHECK.openFilesMin}`)),
    ...memoryFindings(facts.memoryBytes),
  ];
}

function lacking({ name, packageName, loss }: MachineFacts['lacksPrograms'][number]): CheckFinding {
  const remedy = `install the package ${packageName}`;
  if (loss === null) return found('WEFT_CHECK_PROGRAM', `the program ${name} is not installed`, remedy);
  return found('WEFT_CHECK_OPTIONAL_PROGRAM', `the program ${name} is not installed: ${loss}`, remedy);
}

function bpffsFindings({ path, state }: MachineFacts['bpffs']): CheckFinding[] {
  if (state === 'bpffs' || state === 'mountable') return [];
  const why = state === 'occupied' ? 'holds files of others' : 'is no directory';
  return [found('WEFT_CHECK_BPFFS', `${path} is no bpf file system, and ${why}`)];
}

function memoryFindings(bytes: number | null): CheckFinding[] {
  if (bytes === null || bytes >= CHECK.memoryMinBytes) return [];
  return [found('WEFT_CHECK_MEMORY', `${mebibytes(bytes)} of memory are free, less than ${mebibytes(CHECK.memoryMinBytes)}`)];
}

/** An amount as a person reads it. */
export function mebibytes(bytes: number): string {
  return `${Math.floor(bytes / 2 ** 20)} MiB`;
}
