import type { Log } from '#model/effects/log.ts';
import { WeftError } from '#model/error.ts';
import { SCHEMA } from '#model/kernel/abi.ts';
import type { Kernel } from '#node-agent/effects/agent-effects.ts';
import { type Datapath, openDatapath } from '#platform/bpf/datapath.ts';
import { type Missing, missingFeatures } from '#platform/bpf/features.ts';
import { readCounters } from '#platform/bpf/reports.ts';
import { OBJECTS_DIR } from './paths.ts';

/** The node's kernel side as the agent sees it, and what this kernel lacks. */
export type OpenedKernel = { kernel: Kernel; datapath: Datapath; missing: Missing[] };

/** Probes, loads and attaches the node's eBPF side. Errors: WEFT_KERNEL when a feature without which nothing works is missing. */
export function openKernel(paths: { pinDir: string; cgroup: string }, log: Log): OpenedKernel {
  const missing = missingFeatures();
  for (const one of missing) log.warn({ feature: one.feature, since: one.since, loss: one.loss }, 'the kernel lacks a feature');
  const fatal = missing.filter((one) => one.fatal);
  if (fatal.length > 0) {
    const list = fatal.map((one) => `${one.feature} (Linux ${one.since}): ${one.loss}`).join('; ');
    throw new WeftError('WEFT_KERNEL', `this kernel cannot run the data path: ${list}`, {
      remedy: 'run Linux 5.15 or newer with BTF, as root',
    });
  }
  const datapath = openDatapath({ pinDir: paths.pinDir, cgroupPath: paths.cgroup, objectsDir: OBJECTS_DIR });
  const counters = (): Record<string, number> => readCounters(datapath.maps.counters);
  return { kernel: { ...datapath, schema: SCHEMA, counters }, datapath, missing };
}
