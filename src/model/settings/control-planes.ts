import { type SettingGroup, setting, valuesOf } from './setting.ts';

const KIB = 1_024;
const MIB = 1_024 * KIB;
const HOUR_S = 3_600;
const HOUR_MS = 3_600_000;

/** Certificates and tokens: the rows of the table. */
export const CERTIFICATE_SETTINGS = {
  about: { title: 'Certificates and tokens', text: 'Lifetimes, and how they are renewed (docs/rules/control-plane.md).' },
  rows: {
    ttlSeconds: setting(24 * HOUR_S, 's', "Lifetime an agent asks for (Istio's default)."),
    fetchesMax: setting(8, 'count', 'Certificates one agent asks for at the same time, over all identities.'),
    renewalMinMs: setting(
      1_000,
      'ms',
      'A certificate that is overdue as soon as it arrives (its signer is about to expire) is not asked for in a loop.',
    ),
    retryFirstMs: setting(1_000, 'ms', 'First wait after a failed request; it doubles.'),
    retryMaxMs: setting(150_000, 'ms', 'Longest wait after failed requests.'),
    defaultLifetimeMs: setting(24 * HOUR_MS, 'ms', 'Lifetime of a certificate whose request names none.'),
    lifetimeMaxMs: setting(90 * 24 * HOUR_MS, 'ms', 'A longer lifetime is refused (as istiod).'),
    lifetimeGrantedMaxMs: setting(
      24 * HOUR_MS,
      'ms',
      'A workload asks for a longer lifetime and gets this: a certificate that went astray is good until it ends.',
    ),
    backdateMs: setting(120_000, 'ms', 'How far a new certificate reaches back, for clocks that run behind.'),
    rootBackdateMs: setting(
      24 * HOUR_MS,
      'ms',
      'How far a new root reaches back: one that was made while the clock was ahead (of another time zone, say) is good once it is right.',
    ),
    clockLookMs: setting(
      5_000,
      'ms',
      'How often the control plane looks whether the clock was set back before its own certificate.',
    ),
    rootLifetimeMs: setting(3_650 * 24 * HOUR_MS, 'ms', "Lifetime of a root of our own: ten years, as istiod's."),
    rootOverlapMs: setting(
      25 * HOUR_MS,
      'ms',
      'How long each step of a rotation of the root lasts: by then every certificate from before it has ended.',
    ),
    rootLookMs: setting(
      60_000,
      'ms',
      'How often it is looked whether the next step of a rotation is due, and whether the files of a given signer are others.',
    ),
    serverRetryMs: setting(
      60_000,
      'ms',
      "Longest wait before the control plane's own certificate is made again after that failed.",
    ),
    agentTokenMs: setting(
      30 * 24 * HOUR_MS,
      'ms',
      'One that went astray ends by itself; the status of its node asks for the next one in time.',
    ),
    agentTokenWarnMs: setting(7 * 24 * HOUR_MS, 'ms', 'So long before its end a token is told to need a successor.'),
    waypointTokenMs: setting(
      3 * 24 * HOUR_MS,
      'ms',
      'What a waypoint shows that it is; its control plane makes the next one in time, and may be away for a weekend.',
    ),
    waypointTokenRenewMs: setting(12 * HOUR_MS, 'ms', 'How often the control plane makes the tokens of its waypoints anew.'),
    podWaitMs: setting(
      2_000,
      'ms',
      'How long a certificate for a pod waits that the API server has not told of yet: its node hears of it first (K96).',
    ),
    podWaitersMax: setting(1_000, 'count', 'Certificates that wait so at once; beyond it they are refused, and asked for again.'),
    tokensKnownMax: setting(1_000, 'count', 'Tokens whose signature the control plane has checked and remembers.'),
    tokenSecondsMax: setting(3_650 * 24 * HOUR_S, 's', 'The longest lifetime of a token that a person may ask for.'),
  },
} as const satisfies SettingGroup;

/** Certificates and tokens: the numbers. */
export const CERTIFICATE = valuesOf(CERTIFICATE_SETTINGS);

/** Control plane and its clients: the rows of the table. */
export const CONTROL_SETTINGS = {
  about: {
    title: 'Control plane and its clients',
    text: 'Discovery over gRPC (docs/rules/control-plane.md), registration and waypoints.',
  },
  rows: {
    keepaliveMs: setting(30_000, 'ms', 'Both sides ask this often whether the other is still there.'),
    keepaliveTimeoutMs: setting(10_000, 'ms', 'No answer for this long, and the connection is taken for dead.'),
    establishMsMax: setting(5_000, 'ms', 'An attempt at a stream that got no answer after this long has failed.'),
    progressMsMax: setting(30_000, 'ms', 'Longest wait of a client for the next part of an answer.'),
    callMsMax: setting(10_000, 'ms', 'A call that takes longer has failed: callers hold one of few places meanwhile.'),
    tryMsMax: setting(3_000, 'ms', 'The same of one control plane of several, before the next one is asked.'),
    failoverMsMax: setting(
      300,
      'ms',
      'Those whose control plane is gone begin at another one within this time, each at a moment of chance.',
    ),
    backoffFirstMs: setting(10, 'ms', 'Shortest wait before a new stream.'),
    backoffMaxMs: setting(15_000, 'ms', 'Longest wait before a new stream.'),
    receiveBytesMax: setting(
      32 * MIB,
      'bytes',
      'One message of a client: on reconnecting a stock one reports every resource it holds, about 1 MiB per 10,000 (C14).',
    ),
    rejectionCharactersMax: setting(1_024, 'characters', 'Of what a client says of a resource that it rejects, as much is kept.'),
    looseResourcesMax: setting(
      64,
      'count',
      'Resources of a block that changed since it was put together: more of them are worth a copy of it.',
    ),
    responseBytesMax: setting(
      128 * KIB,
      'bytes',
      'Resources of one response, of which a client is sent one at a time: what a client that stopped reading costs.',
    ),
    lookedThroughMax: setting(20_000, 'count', 'Names compared for one client before it is the turn of others.'),
    serveTurnMs: setting(
      10,
      'ms',
      'Clients are answered for so long at a time; files, calls and timers have their turn between.',
    ),
    stalledMsMax: setting(
      60_000,
      'ms',
      'A client that takes nothing of what it was sent for this long is cut off; one that is slow is not.',
    ),
    connectionsMax: setting(
      8_000,
      'count',
      'Connections of one control plane, those of nodes included: less than it may have descriptors.',
    ),
    streamsMax: setting(100, 'count', 'Calls at once on one connection: an agent has one stream and a handful of requests.'),
    nodeWorkloadsMax: setting(10_000, 'count', 'Workloads that one node may register.'),
    weightMax: setting(1_000, 'count', 'Largest weight of a workload beside others of its services.'),
    nodeAddressesMax: setting(64, 'count', "Addresses of its own that one node may tell, its gateways' included."),
    nodeLivesMs: setting(
      45_000,
      'ms',
      'After the last stream of a node ended, or the control plane started, nobody else takes names and addresses of its workloads: longer than a broken connection goes unnoticed.',
    ),
    refusalsListedMax: setting(100, 'count', 'Refusals of nodes that the status page lists.'),
    lookEveryMs: setting(1_000, 'ms', 'How often it is looked whether every waypoint is still alive.'),
    stableMs: setting(60_000, 'ms', 'A waypoint or a part that lived this long has recovered: its next death is its first.'),
    restartFirstMs: setting(500, 'ms', 'Wait before a waypoint, or a part of `weft up`, that died is started again; it doubles.'),
    restartMaxMs: setting(30_000, 'ms', 'Longest such wait.'),
    waypointStopMs: setting(5_000, 'ms', 'How long a waypoint may take to end before it is killed.'),
    keepAgainFirstMs: setting(1_000, 'ms', 'Wait before what could not be kept is written again; it doubles.'),
    keepAgainMaxMs: setting(30_000, 'ms', 'Longest such wait.'),
    keepStateAfterMs: setting(
      5_000,
      'ms',
      'What is in force is kept for a quick start so long after it has changed: many changes are written once.',
    ),
    trimMs: setting(
      30_000,
      'ms',
      'How often memory that was freed is given back to the system: some milliseconds when it is little.',
    ),
    keepStateFrom: setting(
      1_000,
      'count',
      'Addresses and policies from which on what is in force is kept for a quick start: fewer are derived as quickly.',
    ),
    stopGraceMs: setting(500, 'ms', 'How long calls may take to end by themselves when the control plane stops.'),
  },
} as const satisfies SettingGroup;

/** Control plane and its clients: the numbers. */
export const CONTROL = valuesOf(CONTROL_SETTINGS);

/** Resources: the rows of the table. */
export const RESOURCE_SETTINGS = {
  about: { title: 'Resources', text: 'The YAML that a mesh is written in, and what is told about mistakes in it.' },
  rows: {
    fileBytesMax: setting(32 * MIB, 'bytes', 'Larger files are refused: a file of resources never comes near.'),
    outlineCharactersMax: setting(
      4 * MIB,
      'characters',
      'Kinds and namespaces that are gathered from a file that is too large to be read.',
    ),
    outlinePieceBytes: setting(MIB, 'bytes', 'How much of it is looked at together.'),
    readsMax: setting(3, 'count', 'How often a file that is written to while it is read is read again.'),
    quietMs: setting(15, 'ms', "Quiet time after an event before the files are read: an editor's save is several events."),
    quietMsMax: setting(100, 'ms', 'Longest wait while events keep coming.'),
    confirmMs: setting(
      20,
      'ms',
      'A file that vanished or became empty is looked at again after this: most are about to be replaced.',
    ),
    rescanMs: setting(
      2_000,
      'ms',
      'A look without any event, for file systems that do not tell (network mounts) and events that were lost.',
    ),
    rescanPercent: setting(1, 'percent', 'Share of the time that looks without an event may take where events do tell.'),
    namedMax: setting(1_000, 'count', 'Files looked at by name after events; at more of them everything is looked at.'),
    lookedTogetherMax: setting(
      64,
      'count',
      'Of them so many are looked at together, some 20 ms; files that restrict something do not wait for more.',
    ),
    readAtOnceCharactersMax: setting(
      16 * KIB,
      'characters',
      'So much text is read by who serves, some 10 ms; more of it by a thread of its own.',
    ),
    soughtCharactersMax: setting(
      16 * MIB,
      'characters',
      'Text of waiting files that is looked through for names before a file that drops those overtakes them: some 10 ms.',
    ),
    readTogetherCharactersMax: setting(64 * KIB, 'characters', 'Text that such a thread is given at a time.'),
    unpackedCharactersMax: setting(4 * KIB, 'characters', 'The text of a larger file is packed while nobody needs it.'),
    readerIdleMs: setting(10_000, 'ms', 'Such a thread that has had nothing to read for this long is ended: it holds memory.'),
    mistakesMax: setting(3, 'count', 'Mistakes told per document: what follows the first few is mostly their consequence.'),
    mismatchesMax: setting(20, 'count', 'Problems told per resource; more would hide the first ones.'),
    idlePoliciesMax: setting(
      50,
      'count',
      'Policies that match nothing which a status tells: each is read again to find its line, and nobody reads more.',
    ),
    namesMax: setting(12, 'count', 'Names listed in a remedy before the rest is left out.'),
    editsMax: setting(2, 'count', 'At this many edits or fewer two names are taken for the same word misspelt.'),
    listedMax: setting(2_000, 'count', 'Resources in one answer of `weft get`, which asks until it has them all.'),
    listedObjectsMax: setting(100, 'count', 'The same where what they say is asked for, which has to be read again.'),
    appliedBytesMax: setting(
      4 * MIB,
      'bytes',
      "One request on the control plane's local socket: a resource and what tells of it.",
    ),
    appliedTogetherCharactersMax: setting(
      256 * KIB,
      'characters',
      'Resources that `weft apply` sends together, but for a larger one.',
    ),
    messagesMax: setting(5, 'count', 'Sentences in one message of a condition; the rest is in the findings.'),
    routeMatchesMax: setting(128, 'count', 'Matches in one route, over all of its rules (Gateway API 1.6).'),
  },
} as const satisfies SettingGroup;

/** Resources: the numbers. */
export const RESOURCE = valuesOf(RESOURCE_SETTINGS);

/** What equal parts of resources share: the rows of the table. */
export const SHARED_SETTINGS = {
  about: {
    title: 'Shared values',
    text: 'Equal parts of resources are kept once at the control plane; what is hardly ever equal is not looked for.',
  },
  rows: {
    textCharactersMax: setting(64, 'characters', 'Longer texts are hardly ever said twice.'),
    fieldsMax: setting(16, 'count', 'Objects with more fields are hardly ever equal.'),
    textsMax: setting(32_768, 'count', 'Texts that are remembered, in each of two generations: some megabytes.'),
    valuesMax: setting(16_384, 'count', 'The same of labels, localities and the like.'),
    membershipsMax: setting(64, 'count', 'Ways in which endpoints of one service differ that are remembered.'),
  },
} as const satisfies SettingGroup;

/** Shared values: the numbers. */
export const SHARED = valuesOf(SHARED_SETTINGS);
