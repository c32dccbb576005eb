import { type SettingGroup, setting, valuesOf } from './setting.ts';

/** Waypoint: the rows of the table. */
export const WAYPOINT_SETTINGS = {
  about: { title: 'Waypoint', text: 'Connections of a waypoint, downstream and upstream.' },
  rows: {
    silentClientMs: setting(
      15_000,
      'ms',
      "How long a client may stay silent on an undeclared port before it is closed (Envoy's listener-filter timeout).",
    ),
    clientHelloBytesMax: setting(
      16_384,
      'bytes',
      'How much is read of a client of TLS to learn which name it asks for (as in Envoy); who says more has asked for none.',
    ),
    idleRoundsMax: setting(
      60,
      'count',
      "Rounds of the sweep an HTTP connection may be idle: an hour at one a minute (Envoy's default).",
    ),
    sweepDownstreamsMs: setting(60_000, 'ms', 'One timer looks at all downstream connections, instead of one each.'),
    sweepUpstreamsMs: setting(10_000, 'ms', 'The same for idle upstream connections, whose limit is shorter.'),
    idleConnectionsMax: setting(256, 'count', 'Idle connections kept per endpoint, identity and version.'),
    upstreamIdleMs: setting(50_000, 'ms', "Shorter than common servers' own limits, so that it is rarely they who close."),
    keepAliveMarginMs: setting(1_000, 'ms', "Taken off a peer's announced limit, which runs from its last byte, not from ours."),
    closingMs: setting(5_000, 'ms', 'How long a peer may take to end a connection that we have ended.'),
    otherEndpointDraws: setting(
      5,
      'count',
      'How often an endpoint is drawn anew that an earlier try of the request went to (Istio: host_selection_retry_max_attempts).',
    ),
    hashPlacesMax: setting(
      131_071,
      'count',
      'Places of a ring or a Maglev table that keep requests together, a prime: each change of the endpoints makes them anew, and nothing else happens meanwhile.',
    ),
    hashCookieBytes: setting(
      8,
      'bytes',
      'Of chance, in a cookie that keeps the requests of a client together: nobody else has the same.',
    ),
    warmupStepMs: setting(
      100,
      'ms',
      'How long the weights of endpoints that warm up are taken for what they are: each step costs as much as there are endpoints.',
    ),
    triesMax: setting(
      2,
      'count',
      'Tries of a request, the first included; a further one only where surely nothing was processed, or where the method changes nothing.',
    ),
    keptBodyBytesMax: setting(
      65_536,
      'bytes',
      'Of one request over HTTP/2, until its answer begins: what a peer refuses unprocessed is sent again with its body. A longer one has one try.',
    ),
    keptBodiesBytesMax: setting(67_108_864, 'bytes', 'Of all bodies kept at one time; further requests have one try.'),
    keptBodyFirstBytes: setting(512, 'bytes', 'The first buffer of a kept body; it doubles up to the bound.'),
    keptBodyPieceBytes: setting(16_384, 'bytes', 'Given to an upstream at a time, so that one that is full stops the rest.'),
    mirrorsMax: setting(1_000, 'count', 'Copies of requests under way in one waypoint; further ones are not made.'),
    mirrorBytesMax: setting(
      262_144,
      'bytes',
      "Of one copy's body that its upstream has not taken yet; past it the copy is given up, for the request does not wait.",
    ),
    mirrorMs: setting(15_000, 'ms', 'How long a copy may take whose route has no time-out.'),
    routeRetries: setting(
      2,
      'count',
      'Tries after the first of a route that asks for retries and does not say how many (Istio).',
    ),
    routeRetriesMax: setting(
      10,
      'count',
      'The most that a route can ask for: a service that fails must not get its load many times.',
    ),
    retryPauseMs: setting(25, 'ms', "Between tries of a route without backoff: up to so long, doubling (Envoy's base interval)."),
    retryPauseMaxMs: setting(250, 'ms', 'The longest such pause (Envoy).'),
    retriedBodyBytesMax: setting(1_048_576, 'bytes', "Of one request's body, where its route asks for retries (Envoy's buffer)."),
    directResponseBytesMax: setting(65_536, 'bytes', 'Of an answer that a route gives by itself: each configuration carries it.'),
    bucketsMax: setting(10_000, 'count', 'Buckets of one rule of a rate limit; past it, those least used are forgotten.'),
    bucketTablesMax: setting(256, 'count', 'Rules of rate limits of one service whose buckets are kept.'),
    bucketKeyCharactersMax: setting(256, 'characters', 'Of what tells the buckets of a rule apart: each is kept.'),
    checksMax: setting(
      1_000,
      'count',
      'Questions to external authorizers under way in one waypoint; further ones are not asked.',
    ),
    checkMs: setting(600_000, 'ms', 'How long an external authorizer may take that has no time-out (Istio).'),
    checkAnswerBytesMax: setting(
      262_144,
      'bytes',
      'Of the answer of an external authorizer, which a client may get; a longer one is none.',
    ),
    shownBodyBytesMax: setting(1_048_576, 'bytes', 'The most that an external authorizer can be shown of a body.'),
    shownBodySlackBytes: setting(
      1_048_576,
      'bytes',
      'Of a body that comes although no more of it was asked for; with more than that it is refused.',
    ),
    callsWaitingMax: setting(
      1_000,
      'count',
      'Calls of a waypoint itself that wait for a connection to an endpoint, those included that were given up; further ones fail at once.',
    ),
    limitQuestionsMax: setting(
      1_000,
      'count',
      'Questions to rate limit services under way in one waypoint; further ones are not asked.',
    ),
    limitMsMax: setting(10_000, 'ms', 'The longest that a policy can have requests wait for one.'),
    limitAnswerBytesMax: setting(65_536, 'bytes', 'Of its answer, which a client may get; a longer one is none.'),
    limitProbeMs: setting(
      1_000,
      'ms',
      'How long the question may take whether it limits at all, and how long before it is asked anew.',
    ),
    limitProbesMax: setting(60, 'count', 'How often that is asked for a configuration while nothing answers.'),
    limitServersMax: setting(64, 'count', 'Rate limit services of which is remembered whether they limit.'),
    replicasKnownMs: setting(
      1_000,
      'ms',
      'How long it is taken as known how many replicas share a limit, and where this one is.',
    ),
    drainMs: setting(5_000, 'ms', 'How long open requests may finish after a stop signal.'),
    lateMs: setting(
      5_000,
      'ms',
      'How long one in a pod that is told to stop serves on as before: nodes that have not heard of it yet send connections.',
    ),
    carryMs: setting(
      108_000,
      'ms',
      'How long after that connections that a waypoint in a pod carries may go on; what is left is cut (K122).',
    ),
    meshPartMax: setting(
      64,
      'count',
      'Workloads and services of a change that a data thread takes in between two turns of its loop; a larger change takes several.',
    ),
    threadEndMs: setting(
      1_000,
      'ms',
      'How long a data thread may take, beyond that, to say that it is done, and to end; the process ends without it then.',
    ),
    leftMs: setting(
      2_000,
      'ms',
      'How long a service that has left a waypoint is served there all the same, as it was: nodes that have not heard yet send connections.',
    ),
    comingMs: setting(
      2_000,
      'ms',
      'How long a connection waits for a service that the waypoint does not serve: nodes that have heard of it before send connections.',
    ),
    comingMax: setting(1_000, 'count', 'Connections that wait so at once; further ones are refused.'),
    followedMs: setting(
      30_000,
      'ms',
      'How long a waypoint that is told to stop serves as ever while the next one starts, so that no connection is refused meanwhile: on a machine that is busy a start takes more than ten.',
    ),
    takenMs: setting(2_000, 'ms', 'How long the next one may take for the listening sockets, once it has asked for them.'),
  },
} as const satisfies SettingGroup;

/** Waypoint: the numbers. */
export const WAYPOINT = valuesOf(WAYPOINT_SETTINGS);

/** Regular expressions: the rows of the table. */
export const REGEX_SETTINGS = {
  about: { title: 'Regular expressions', text: 'Of routes. Matching takes time linear in the text, whatever the pattern.' },
  rows: {
    patternCharactersMax: setting(1_024, 'characters', 'Gateway API allows as many (config-api 1.6).'),
    instructionsMax: setting(
      10_000,
      'count',
      'Bounds time per character and memory; a pattern of 1,024 characters reaches it only by nested counts.',
    ),
    repeatMax: setting(1_000, 'count', 'The highest number in {n,m}, as in RE2.'),
    nestingMax: setting(100, 'count', 'Parentheses in parentheses: the parser is recursive.'),
    cachedStatesMax: setting(500, 'count', 'States kept before the cache starts anew: bounds memory, as RE2 does.'),
  },
} as const satisfies SettingGroup;

/** Regular expressions: the numbers. */
export const REGEX = valuesOf(REGEX_SETTINGS);
