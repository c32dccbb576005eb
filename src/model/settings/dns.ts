import { type SettingGroup, setting, valuesOf } from './setting.ts';

const KIB = 1_024;

/** DNS: the rows of the table. */
export const DNS_SETTINGS = {
  about: { title: 'DNS', text: 'The responder of each node and the nameservers it asks.' },
  rows: {
    ttlSeconds: setting(30, 's', 'How long clients may keep an answer (docs/rules/node-proxy.md, B61).'),
    absentTtlSeconds: setting(
      5,
      's',
      'How long clients may keep that there is no such name or record: a service may come at any time.',
    ),
    aliasesMax: setting(8, 'count', 'Aliases of aliases that are followed for one answer: more are a circle.'),
    udpBytesMax: setting(4 * KIB, 'bytes', 'The largest reply sent over UDP, and what our own OPT record announces.'),
    queryBytesMax: setting(4 * KIB, 'bytes', 'No honest query comes near this; it bounds the work one message can cause.'),
    queryRecordsMax: setting(16, 'count', 'Records of one query, which has one question and an OPT record.'),
    forwardsMax: setting(
      4_096,
      'count',
      'Queries forwarded at once by one node; one of some hundred workloads does not meet it.',
    ),
    forwardsPerWorkloadMax: setting(512, 'count', 'The same of one workload, so that it cannot use up the node.'),
    forwardMs: setting(5_000, 'ms', "How long one forwarded query may take: the C library's own patience."),
    connectionsMax: setting(1_024, 'count', 'DNS connections over TCP at once by one node.'),
    connectionsPerWorkloadMax: setting(64, 'count', 'The same of one workload.'),
    queriesAtOnceMax: setting(
      16,
      'count',
      'Queries of one connection that are worked on at once; further ones wait in the socket.',
    ),
    tcpIdleMs: setting(
      5_000,
      'ms',
      'A connection on which nothing is asked or answered for so long is closed (docs/rules/node-proxy.md).',
    ),
    tryMsMax: setting(
      1_500,
      'ms',
      "At most so long for one nameserver, so that all three have a turn before the workload's own resolver gives up.",
    ),
    attempts: setting(2, 'count', "Rounds over the nameservers (resolv.conf's default)."),
    resolverTimeoutMs: setting(
      5_000,
      'ms',
      'For one nameserver when resolv.conf does not say (its default); `tryMsMax` holds as well.',
    ),
    recheckMs: setting(5_000, 'ms', 'How often it is looked whether resolv.conf changed, when something is asked.'),
    endpointRestMs: setting(
      5_000,
      'ms',
      'An endpoint that is told by name is resolved again so often at most, whatever its time to live; and so soon after a failure.',
    ),
    endpointMsMax: setting(300_000, 'ms', 'The same at least so often.'),
    endpointsAtOnceMax: setting(16, 'count', 'Names of endpoints that are being resolved at once by one node.'),
    endpointAddressesMax: setting(64, 'count', 'Addresses of one name that connections are sent to.'),
    permitMs: setting(
      300_000,
      'ms',
      'So long at least what was answered for a host may be reached from a registry-only namespace, since apps keep addresses for longer than they are told.',
    ),
    permitMsMax: setting(3_600_000, 'ms', 'So long at most: an address goes to somebody else some day.'),
    permitSweepMs: setting(60_000, 'ms', 'How often permits that are over make room for others; they end by themselves.'),
    permitAddressesMax: setting(
      2_048,
      'count',
      'Addresses that are remembered of what one workload was answered; the oldest give way.',
    ),
    permitNamesMax: setting(16, 'count', 'Names that are remembered for one such address, which may be that of many.'),
    nameserversMax: setting(3, 'count', 'As the C library: further ones are ignored (resolv.conf(5)).'),
  },
} as const satisfies SettingGroup;

/** DNS: the numbers. */
export const DNS = valuesOf(DNS_SETTINGS);
