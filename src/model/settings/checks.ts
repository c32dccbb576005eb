import { type SettingGroup, setting, valuesOf } from './setting.ts';

const MIB = 1_024 * 1_024;
const DAY_MS = 86_400_000;

/** Checks: the rows of the table. */
export const CHECK_SETTINGS = {
  about: { title: 'Checks', text: 'From which amounts on `weft check` says something, and how long it looks.' },
  rows: {
    openFilesMin: setting(
      4_096,
      'count',
      'Descriptors of an agent: a carried connection has two, and a workload some listeners.',
    ),
    memoryMinBytes: setting(256 * MIB, 'bytes', 'Free memory: an agent and a control plane take that much under load.'),
    diskMinBytes: setting(16 * MIB, 'bytes', 'Free room where the state, sockets or logs lie: one log file may take as much.'),
    diskFilesMin: setting(64, 'count', 'Free inodes there.'),
    clockSkewMsMax: setting(
      60_000,
      'ms',
      'Half of what new certificates reach back: beyond all of it they are refused as not yet valid.',
    ),
    rootWarnMs: setting(
      30 * DAY_MS,
      'ms',
      'So long before the end of the root certificate it is told: every node needs the next one.',
    ),
    probeMs: setting(3_000, 'ms', 'How long the control plane may take to answer a question.'),
    nameserverMs: setting(1_500, 'ms', 'The same of a DNS server.'),
    processesMax: setting(20_000, 'count', 'Processes whose descriptors are looked through for the holder of a port.'),
    findingsMax: setting(200, 'count', 'Findings of one area that are told.'),
  },
} as const satisfies SettingGroup;

/** Checks: the numbers. */
export const CHECK = valuesOf(CHECK_SETTINGS);
