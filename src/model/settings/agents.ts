import { type SettingGroup, setting, valuesOf } from './setting.ts';

const KIB = 1_024;

/** Node agent: the rows of the table. */
export const AGENT_SETTINGS = {
  about: { title: 'Node agent', text: 'What the agent of a node waits for, holds and does ahead.' },
  rows: {
    knowledgeDeadlineMs: setting(
      5_000,
      'ms',
      "How long a connection waits for the workload's record or the first sync (docs/rules/node-proxy.md).",
    ),
    waitersMax: setting(
      40_000,
      'count',
      'Connections that wait so at once; further ones are refused. Each holds a place of `carriedMax` meanwhile, so no workload takes all.',
    ),
    answerDeadlineMs: setting(
      10_000,
      'ms',
      'How long a connection waits to be decided when no decision of its kind is at hand; longer than `knowledgeDeadlineMs`, so that it hears why.',
    ),
    threadsMax: setting(
      64,
      'count',
      'Data threads of one agent or waypoint, at most. What strangers may cost is divided among them, and would be next to nothing for each of more.',
    ),
    drillBusyMs: setting(10_000, 'ms', 'How long the agent does nothing but turn when a test asks it to (WEFT_DRILL).'),
    countsPeriodMs: setting(250, 'ms', 'How often a data thread tells what it has counted.'),
    answersMax: setting(8_192, 'count', 'Decisions kept at hand for further connections; the oldest goes first.'),
    choicesMax: setting(
      32,
      'count',
      'Endpoints of a service among which a kept decision draws; of more, as many are drawn from all when it is made.',
    ),
    eagerPairsMax: setting(
      20_000,
      'count',
      'Pairs evaluated ahead of their first connection; beyond that the first connection of a pair is evaluated.',
    ),
    secondSweepMs: setting(
      200,
      'ms',
      'A connection may be established from a verdict read just before a change: it is looked at again after this.',
    ),
    closedMax: setting(
      10_000,
      'count',
      'Connections of the kernel that the agent closed and whose end it has not heard of; the line of an older one does not say why.',
    ),
    eventsPeriodMs: setting(50, 'ms', "How often the eBPF programs' events are read, for the log."),
    eventsPerTurnMax: setting(
      500,
      'count',
      'Events read in one turn, at most; the rest wait in the ring, so that no policy, tunnel or name waits for them.',
    ),
    eventsPerSecond: setting(
      200,
      'per second',
      'Refusals of one workload that the kernel reports, and as many ends of its connections; it counts the others, and the agent tells how many they were.',
    ),
    trafficPeriodMs: setting(
      10_000,
      'ms',
      'How often the agent reads what the kernel counted of connections, while nobody asks for its metrics.',
    ),
    untoldPeriodMs: setting(1_000, 'ms', 'How often the agent asks for those that the kernel only counted.'),
    shareOpenPercent: setting(
      75,
      'percent',
      'Of a table, list or queue that workloads share: as long as less is taken, anybody may take more.',
    ),
    shareAssuredPercent: setting(
      20,
      'percent',
      'Of the same: in equal parts assured to the workloads of the node. The rest is for connections that are let in while the last place goes.',
    ),
    sharedValuesMax: setting(
      10_000,
      'count',
      'Texts and lists of ports that records of workloads share, before they are gathered anew.',
    ),
    narrowedFrom: setting(
      16,
      'count',
      'Rules of policies in force for a workload from which on those that name others than the caller are left out beforehand.',
    ),
    narrowedMax: setting(256, 'count', 'Callers for whom that is remembered, for each set of policies.'),
    rememberedMax: setting(
      1_024,
      'count',
      'Verdicts remembered for connections of one workload (or to one, of strangers) between two changes of policy: one that dials every port must not push the others out.',
    ),
    carriedMax: setting(32_768, 'count', 'Connections that one agent carries, where it may open so many descriptors.'),
    descriptorsReserved: setting(
      1_000,
      'count',
      'Descriptors of the agent that carry no connection: listeners, maps, its own streams. Each connection takes two of the others.',
    ),
    slotsMax: setting(
      16_384,
      'count',
      'Slots of one service in the kernel, which draws uniformly: weights are expanded into repeated slots.',
    ),
    formerWaypointMs: setting(
      10_000,
      'ms',
      'How long connections through a waypoint that their service has left may go on, if policies let them in without it: longer than the waypoint serves and drains them.',
    ),
    lastBytesMs: setting(
      3_000,
      'ms',
      'How long the connections of a workload whose processes are dead may take to end by themselves: what they wrote last is on its way. Whoever does not close is cut then.',
    ),
    lastBytesLookMs: setting(10, 'ms', 'How often it is looked whether they have ended.'),
    drainToldMs: setting(1_000, 'ms', 'How long a workload that is to end waits until the mesh sends it no new connections.'),
    stopGraceMs: setting(
      10_000,
      'ms',
      'How long a workload that is told to end (SIGTERM) may take before it is killed, unless whoever ends it says otherwise.',
    ),
    crlLookMs: setting(2_000, 'ms', 'How often it is looked whether the file of revocation lists has changed (as ztunnel).'),
    collectMs: setting(
      3_000,
      'ms',
      'How long after the mesh is known garbage is collected: what is read of 10,000 workloads leaves 15 MB of it, which would stay until the heap has grown by as much.',
    ),
    trimMs: setting(60_000, 'ms', 'How often memory that was freed is given back to the system.'),
    tokenLookMs: setting(3_600_000, 'ms', "How often the node's token is looked at, whose end is told in time."),
    routesLookMs: setting(
      2_000,
      'ms',
      'How often the routes of the machine are looked at: workloads reach others by the interfaces that routes with a gateway use.',
    ),
    reapMs: setting(2_000, 'ms', 'How often workloads of `weft run` are looked at, for those that ended.'),
    startGraceMs: setting(30_000, 'ms', 'A workload whose process has not started yet is not taken for one that ended.'),
    podsLookMs: setting(
      30_000,
      'ms',
      'How often the namespaces of pods in the mesh are looked for again: nobody tells of a sandbox that was made anew.',
    ),
    cniLookMs: setting(
      30_000,
      'ms',
      "How often the chain of the node's network is looked at, beside whenever something of it changes.",
    ),
    cniWritesMax: setting(
      20,
      'count',
      'How often the plugin is put back into that chain within `cniWritesWithinMs` by one that takes it out; half of it is told as a problem.',
    ),
    cniWritesWithinMs: setting(10_000, 'ms', 'The time in which those are counted.'),
    cniKnownMs: setting(
      20_000,
      'ms',
      'How long a pod that is about to start waits until the API server has told of it; less than weft-cni waits (30 s), so that it hears why.',
    ),
    cniRequestBytesMax: setting(
      2_097_152,
      'bytes',
      'A request of weft-cni: the configuration of a network, which it takes up to 1 MiB.',
    ),
    cniReloadMs: setting(
      5_000,
      'ms',
      'How long weft-cni is still answered after it was taken out of the chain: until the runtime has read that.',
    ),
    registerRetryMs: setting(
      1_000,
      'ms',
      'First wait before workloads are registered again after the control plane could not take them; it doubles.',
    ),
    registerRetryMsMax: setting(15_000, 'ms', 'Longest such wait.'),
    refusedRetryMs: setting(5_000, 'ms', 'Wait before workloads that the control plane refused are registered again.'),
    enrollRetryMs: setting(
      500,
      'ms',
      'First wait before a workload is enrolled again that could not be, or a page is served that could not be; it doubles.',
    ),
    enrollRetryMsMax: setting(30_000, 'ms', 'Longest such wait.'),
    recordSettleMs: setting(
      500,
      'ms',
      'After a workload with other labels than its predecessor is registered, its record is taken for right if it has not changed by then.',
    ),
    requestBytesMax: setting(64 * KIB, 'bytes', "One request on the agent's local socket."),
    listedMax: setting(1_000, 'count', 'Workloads listed by status; the counts are always whole.'),
    handOverMs: setting(
      5_000,
      'ms',
      'How long an agent that is replaced keeps its listening sockets open, and answers names, for the one that goes on with them.',
    ),
    handedOverMs: setting(
      600_000,
      'ms',
      'How long connections that a replaced agent carries may go on; what has not ended by then is cut.',
    ),
    readyMs: setting(
      30_000,
      'ms',
      'How long an agent that is to replace another waits for the mesh before it gives up; the other one goes on meanwhile.',
    ),
    readyForLeavingMs: setting(
      5_000,
      'ms',
      'The same where the other one was told to stop, and ends: what is missing then is waited for with the node.',
    ),
    leaveNodeMs: setting(
      3_000,
      'ms',
      'How long an agent that is to be replaced waits for workloads that are being started or ended; the next one does the rest.',
    ),
    leaveMs: setting(
      15_000,
      'ms',
      'How long an agent that is told to stop goes on serving while it carries something; another one may take the node over meanwhile.',
    ),
    successorMs: setting(
      60_000,
      'ms',
      'Where the next agent is started beside this one (`--drain`): how long one that is told to end serves on until the next has the node; and how long nobody may answer for the node before one that stays is started anew.',
    ),
    successorLookMs: setting(2_000, 'ms', 'How often it looks whether somebody answers.'),
    formersMax: setting(
      3,
      'count',
      'Agents of one node that were replaced and carry to the end what they had; of more the oldest ends (K145).',
    ),
    handOverLookMs: setting(50, 'ms', 'How often it looks whether they have ended.'),
    lastAnswerMs: setting(100, 'ms', 'The answer to a cleanup has to leave before its socket closes.'),
  },
} as const satisfies SettingGroup;

/** Node agent: the numbers. */
export const AGENT = valuesOf(AGENT_SETTINGS);

/**
 * How many data threads an agent or a waypoint has. `wanted` null: one core is left to whoever follows the mesh. `io`: WEFT_IO; with `node` the agent's own
 * thread carries, as threads are of the I/O core. `cores`: those that the process may use.
 */
export function dataThreads(wanted: number | null, io: string | undefined, cores: number): number {
  if (io === 'node') return 0;
  return wanted ?? Math.min(AGENT.threadsMax, Math.max(1, cores - 1));
}
