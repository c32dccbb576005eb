import { type SettingGroup, setting, valuesOf } from './setting.ts';

const KIB = 1_024;
const MIB = 1_024 * KIB;

/** etcd as source and store: the rows of the table. */
export const ETCD_SETTINGS = {
  about: { title: 'etcd', text: 'Configuration and state of several control planes in etcd (`weft control --store`).' },
  rows: {
    callMsMax: setting(2_000, 'ms', 'A member that has not answered a call after this long is passed over for the next one.'),
    listPageMax: setting(256, 'count', 'Keys that are read at a time; fewer when they are larger than one answer may be.'),
    receiveBytesMax: setting(64 * MIB, 'bytes', 'One answer of a member.'),
    changesMax: setting(100_000, 'count', 'Changes of one revision that come in pieces; at more of them all is read anew.'),
    plainCharactersMax: setting(64 * KIB, 'characters', 'State that is larger is kept pressed.'),
    valueBytesMax: setting(1_400 * KIB, 'bytes', 'What one key may hold: etcd takes requests of 1.5 MiB.'),
    unpackedBytesMax: setting(64 * MIB, 'bytes', 'What one key may hold once it is unpacked.'),
    readBackMsMax: setting(5_000, 'ms', 'How long `weft apply` waits until what it wrote has come back by the watch.'),
    leaseMs: setting(3_000, 'ms', 'A replica that has not been heard of for this long is taken for dead, and another one leads.'),
    keepAliveMs: setting(700, 'ms', 'How often a replica says that it is alive.'),
    campaignMsMax: setting(
      200,
      'ms',
      'Replicas that saw the leader go try to follow it within this time, each at a moment of chance.',
    ),
    readyPollMs: setting(50, 'ms', 'How often such a replica looks whether they are there.'),
    trustMsMax: setting(
      20_000,
      'ms',
      'How long a replica that does not lead waits at its start for the one that does to make root and keys.',
    ),
    heartbeatMs: setting(1_000, 'ms', 'How often a member is asked whether it still follows the others for us.'),
    silentMsMax: setting(3_000, 'ms', 'A member that has not said anything for this long is left for the next one.'),
    backoffFirstMs: setting(50, 'ms', 'Shortest wait before a member is asked again.'),
    backoffMaxMs: setting(1_000, 'ms', 'Longest wait before a member is asked again.'),
  },
} as const satisfies SettingGroup;

/** etcd as source and store: the numbers. */
export const ETCD = valuesOf(ETCD_SETTINGS);
