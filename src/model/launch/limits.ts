import { HOST } from '#model/settings/host.ts';

/** What a workload may use of its machine at most; null: as much as there is. */
export type Limits = {
  readonly memoryBytes: number | null;
  /** Of processors, in whole ones: 0.5 is half of one. */
  readonly cpus: number | null;
};

const UNITS: Readonly<Record<string, number>> = { '': 1, b: 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40 };
/** Fixed by custom of the kernel: processor time is given out by the tenth of a second, and at least a millisecond of it. */
const PERIOD_US = 100_000;
const CPUS_MIN = 0.01;
const CPUS_MAX = 4_096;

/** Reads `512m`, `2g`, `536870912` (bytes; units of 1,024, any case); null when it is none, or less than anything could run in. */
export function readMemory(text: string): number | null {
  const [, number = '', unit = ''] = /^(\d{1,15}(?:\.\d{1,6})?)([bkmgt]?)(?:i?b)?$/i.exec(text) ?? [];
  const bytes = Math.floor(Number(number) * (UNITS[unit.toLowerCase()] ?? Number.NaN));
  return number !== '' && Number.isSafeInteger(bytes) && bytes >= HOST.memoryLimitMinBytes ? bytes : null;
}

/** Reads `0.5`, `2`; null when it is none, or less than the kernel gives out. */
export function readCpus(text: string): number | null {
  const cpus = /^\d{1,5}(\.\d{1,6})?$/.test(text) ? Number(text) : Number.NaN;
  return cpus >= CPUS_MIN && cpus <= CPUS_MAX ? cpus : null;
}

/** A controller of the kernel, by its name in cgroups. */
export type Controller = 'memory' | 'cpu';

/** What is written into a file of a cgroup; `isOptional`: kernels without swap do not have the file. */
export type CgroupSetting = { readonly file: string; readonly text: string; readonly isOptional: boolean };

/** How limits are told to the kernel, in this order, by the version of its cgroups. */
export function settingsOf({ memoryBytes, cpus }: Limits, version: 1 | 2): ReadonlyMap<Controller, readonly CgroupSetting[]> {
  const settings = new Map<Controller, readonly CgroupSetting[]>();
  const must = (file: string, value: string | number): CgroupSetting => ({ file, text: String(value), isOptional: false });
  const may = (file: string, value: string | number): CgroupSetting => ({ file, text: String(value), isOptional: true });
  if (memoryBytes !== null) {
    // Without swap: a limit that moves what is over it to the disk is none.
    const second = [must('memory.max', memoryBytes), may('memory.swap.max', 0)];
    const first = [must('memory.limit_in_bytes', memoryBytes), may('memory.memsw.limit_in_bytes', memoryBytes)];
    settings.set('memory', version === 2 ? second : first);
  }
  if (cpus !== null) {
    const quota = Math.round(cpus * PERIOD_US);
    const first = [must('cpu.cfs_period_us', PERIOD_US), must('cpu.cfs_quota_us', quota)];
    settings.set('cpu', version === 2 ? [must('cpu.max', `${quota} ${PERIOD_US}`)] : first);
  }
  return settings;
}
