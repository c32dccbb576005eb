import { type SettingGroup, setting, valuesOf } from './setting.ts';

const KIB = 1_024;

/** Reports: the rows of the table. */
export const REPORT_SETTINGS = {
  about: { title: 'Reports', text: 'How much `weft bug-report` puts together: it is sent by mail, and read by a person.' },
  rows: {
    logBytesMax: setting(256 * KIB, 'bytes', 'The end of each log: about two thousand lines.'),
    logsMax: setting(64, 'count', 'Logs, the youngest first: each waypoint has one.'),
    resourceFilesMax: setting(500, 'count', 'Files of resources.'),
    resourceBytesMax: setting(256 * KIB, 'bytes', 'A longer file of resources is left out.'),
    factCharactersMax: setting(256 * KIB, 'characters', 'Everything else, each: status, routes, pins. What is longer is cut.'),
    descriptorsMax: setting(4_096, 'count', 'Descriptors of a part that are looked through for eBPF maps and programs.'),
  },
} as const satisfies SettingGroup;

/** Reports: the numbers. */
export const REPORT = valuesOf(REPORT_SETTINGS);
