import { type SettingGroup, setting, valuesOf } from './setting.ts';

const KIB = 1_024;
const MIB = 1_024 * KIB;

/** Kubernetes: the rows of the table. */
export const KUBERNETES_SETTINGS = {
  about: { title: 'Kubernetes', text: 'Following and writing the objects of a cluster (docs/rules/kubernetes.md).' },
  rows: {
    connectMs: setting(10_000, 'ms', 'How long a connection to the API server may take to be made.'),
    answerMs: setting(30_000, 'ms', 'How long the API server may take to begin an answer.'),
    callMs: setting(60_000, 'ms', 'How long a whole answer may take that is no watch.'),
    keepaliveMs: setting(10_000, 'ms', 'A connection that is silent for so long is asked whether it still leads anywhere (K88).'),
    silentMs: setting(
      90_000,
      'ms',
      'A watch on which nothing came for so long is begun anew: the API server marks its place every minute (K88).',
    ),
    watchSeconds: setting(300, 's', 'A watch ends by itself after at least so long, and goes on where it was.'),
    watchSecondsMax: setting(
      600,
      's',
      'And at the latest after so long: each at another time, so that not all come back at once.',
    ),
    shortWatchMs: setting(1_000, 'ms', 'A watch that ended sooner, without a word, has failed.'),
    backoffFirstMs: setting(800, 'ms', 'First wait after something failed; it doubles.'),
    backoffMaxMs: setting(30_000, 'ms', 'Longest such wait.'),
    healthyMs: setting(120_000, 'ms', 'A watch that has lasted for so long is well: its next failure is a first one again.'),
    retryAfterSecondsMax: setting(300, 's', 'The longest wait that an API server may ask for.'),
    listObjects: setting(500, 'count', 'Objects of one page, where the API server has no streamed lists.'),
    pageBytesMax: setting(32 * MIB, 'bytes', 'A page that is larger is asked for again with fewer objects.'),
    lineBytesMax: setting(8 * MIB, 'bytes', 'One object in a watch: etcd holds none beyond 1.5 MiB, which JSON may make larger.'),
    answerBytesMax: setting(32 * MIB, 'bytes', 'Any other answer.'),
    initialsMax: setting(
      2,
      'count',
      'Kinds whose objects are read for the first time at once: API servers bear few large lists.',
    ),
    namedMax: setting(
      256,
      'count',
      'Objects that are followed by their names, such as ConfigMaps with authorities: a request each.',
    ),
    namedKnownMs: setting(
      5_000,
      'ms',
      'How long the first look waits for those: what cannot be read must not hold up all others.',
    ),
    tokenReadMs: setting(60_000, 'ms', 'A token is read from its file again after so long: the kubelet renews it there.'),
    discoverMs: setting(30_000, 'ms', 'How often it is looked which kinds are served, where definitions cannot be watched.'),
    discoverQuietMs: setting(200, 'ms', 'Quiet time after a change of definitions before it is looked which kinds are served.'),
    missingRetryMs: setting(1_000, 'ms', 'A kind that is defined and not served yet is asked for again after so long.'),
    reviewGoodMs: setting(
      60_000,
      'ms',
      'How long it is believed that a token is good before the API server is asked again (K97).',
    ),
    reviewAwayMs: setting(
      3_600_000,
      'ms',
      'How long it is believed while the API server is not reached: as long as such a token lasts (K85).',
    ),
    reviewsKnownMax: setting(20_000, 'count', 'Tokens of which it is remembered that they are good.'),
    leaseSeconds: setting(
      10,
      's',
      'A lease that others did not see renewed for so long is free; with a turn to see that it was renewed, and one to take it, another leads within 15 s (K92).',
    ),
    leaseRenewMs: setting(2_000, 'ms', 'How often a lease is renewed, and looked at by those who wait for it.'),
    leaseGiveUpMs: setting(7_000, 'ms', 'Whoever could not renew it for so long leads no more: before anybody else does (K92).'),
    readyMsMax: setting(
      60_000,
      'ms',
      'How long a control plane that starts waits to lead, or for what the one that leads makes first.',
    ),
    readyPollMs: setting(100, 'ms', 'How often it looks meanwhile.'),
    statusPerSecond: setting(20, 'per second', 'Writes of status, over all objects (K110).'),
    statusBurst: setting(50, 'count', 'Writes of status that may come at once after a quiet time.'),
    statusAtOnce: setting(4, 'count', 'Writes of status that are under way together.'),
    statusAgainMs: setting(
      1_000,
      'ms',
      'The status of one object is written at most once in so long, whoever else writes it (K113, K118).',
    ),
    statusTries: setting(6, 'count', 'How often a write is tried anew at once when somebody else has written meanwhile.'),
    statusRetryMs: setting(50, 'ms', 'First wait before that; it doubles.'),
    waypointMinReadySeconds: setting(5, 's', 'A pod of a waypoint that was ready for so long lets the next one be replaced.'),
    waypointStopSeconds: setting(7, 's', 'What a pod of a waypoint is given to end beyond what it carries, before it is killed.'),
    waypointTokenSeconds: setting(
      43_200,
      's',
      "Lifetime of the token in a waypoint's pod; the kubelet makes the next one in time.",
    ),
    waypointLookMs: setting(30_000, 'ms', 'How often it is looked whether the objects of waypoints are to be others now.'),
    autoWaypointLingerMs: setting(
      600_000,
      'ms',
      'How long a waypoint that nobody asked for by name stays after the last that needed it has gone (K131).',
    ),
    rolloutMs: setting(
      300_000,
      'ms',
      'How long `weft install` waits for a part to be ready, images pulled, and `weft uninstall` for agents to end.',
    ),
    rolloutLookMs: setting(1_000, 'ms', 'How often they look meanwhile.'),
    takenInMs: setting(
      30_000,
      'ms',
      'A pod that is meant for the mesh and has run for so long outside it is found by `weft check`.',
    ),
    kubeletLookMs: setting(
      10_000,
      'ms',
      'How long the process that is the kubelet is taken for it before it is looked for again.',
    ),
    eventEveryMs: setting(3_600_000, 'ms', 'An object gets one event of a reason in so long.'),
    eventsKnownMax: setting(10_000, 'count', 'Events that are remembered for that.'),
    eventCharactersMax: setting(1_024, 'characters', 'Fixed by Kubernetes: the longest text of an event.'),
  },
} as const satisfies SettingGroup;

/** Kubernetes: the numbers. */
export const KUBERNETES = valuesOf(KUBERNETES_SETTINGS);
