import { type SettingGroup, setting, valuesOf } from './setting.ts';

const KIB = 1_024;
const MIB = 1_024 * KIB;

/** HTTP/1: the rows of the table. */
export const HTTP_SETTINGS = {
  about: { title: 'HTTP/1', text: 'What one message or connection of HTTP/1 may cost.' },
  rows: {
    headBytesMax: setting(60 * KIB, 'bytes', 'One message head, start line included (Envoy: max_request_headers_kb 60).'),
    headersMax: setting(100, 'count', 'Headers of one message (as Envoy).'),
    headBufferBytes: setting(KIB, 'bytes', 'What a head that comes in pieces is gathered in, at first; it doubles.'),
    keptHeadBytesMax: setting(4 * KIB, 'bytes', 'Of that, what an idle connection keeps for its next head.'),
    writeBufferBytes: setting(
      64 * KIB,
      'bytes',
      'Where heads are written before they leave; one in the process, and larger only for the head that needs it.',
    ),
    connectionHeaderBytesMax: setting(KIB, 'bytes', 'A Connection header. More is malice: Envoy refuses overly long ones, too.'),
    chunkExtensionBytesMax: setting(4 * KIB, 'bytes', "One chunk's extension: nothing here reads them, so they only cost."),
    chunkExtensionSurplusBytesMax: setting(
      16 * KIB,
      'bytes',
      'All chunk extensions of a body, beyond the bytes of the body itself.',
    ),
    trailerBytesMax: setting(60 * KIB, 'bytes', 'Trailers, which are dropped: as much as a head.'),
    interimResponsesMax: setting(32, 'count', 'Interim responses before the final one.'),
    drainedBodyBytesMax: setting(
      64 * KIB,
      'bytes',
      'The rest of a request body that is read and dropped after an early reply, to keep the connection.',
    ),
    firstRequestMs: setting(
      2_000,
      'ms',
      'How long a connection on which nothing was asked yet stays when its waypoint ends: a first request that is on its way is answered.',
    ),
    lingerMs: setting(
      5_000,
      'ms',
      'Between our end of a connection and its reset, when the peer does not end it, too. Long enough for a slow reader: a reset takes what the kernel has not sent yet.',
    ),
    methodBytesMax: setting(32, 'bytes', 'No method comes near; anything longer on an undeclared port is another protocol.'),
    sniffedBytesMax: setting(16 * KIB, 'bytes', 'More without the end of a request line is not HTTP worth waiting for.'),
  },
} as const satisfies SettingGroup;

/** HTTP/1: the numbers. */
export const HTTP = valuesOf(HTTP_SETTINGS);

/** HTTP/2: the rows of the table. */
export const HTTP2_SETTINGS = {
  about: {
    title: 'HTTP/2',
    text: 'What one connection of HTTP/2 to or from a waypoint may cost. Tunnels have numbers of their own.',
  },
  rows: {
    concurrentStreamsMax: setting(1_024, 'count', 'Streams a client may have open on one connection.'),
    upstreamStreamsMax: setting(100, 'count', 'Requests we put on one upstream connection, whatever more the peer allows.'),
    firstWindowBytes: setting(
      64 * KIB,
      'bytes',
      'Unread bytes of a stream at first. It doubles as long as its reader keeps up; one whose reader has stopped holds no more than this.',
    ),
    streamWindowBytes: setting(MIB, 'bytes', 'Unread bytes of one stream that a peer may send ahead (docs/rules/waypoint.md).'),
    connectionWindowBytes: setting(
      16 * MIB,
      'bytes',
      'On its way on one connection; and by how much the windows of its streams may have grown, all together.',
    ),
    headerListBytesMax: setting(60 * KIB, 'bytes', 'Decoded bytes of one header list: the same limit as for HTTP/1.'),
    headerBlockBytesMax: setting(
      256 * KIB,
      'bytes',
      'A header block as it was sent. One that is too large costs its stream, and is read to its end, as later ones refer to it; one past this bound costs the connection.',
    ),
    headBufferBytes: setting(
      16 * KIB,
      'bytes',
      'Where header blocks are written before they leave; one in the process. It doubles.',
    ),
    encoderNamesMax: setting(256, 'count', 'Header names of which one connection remembers what they were last sent with.'),
    headerPairsMax: setting(104, 'count', '100 headers and the four pseudo headers of a request.'),
    prematureResetsMax: setting(
      250,
      'count',
      'Requests withdrawn before an answer, within `prematureWithinMs` of their start and of one another, that end a connection: a rate, as friends withdraw, too, over the life of a channel (W74, CVE-2023-44487).',
    ),
    prematureWithinMs: setting(1_000, 'ms', 'See there.'),
    resetBurst: setting(
      10_000,
      'count',
      'Streams in a row that a client resets before their answer, or late: so wide that `prematureResetsMax` decides.',
    ),
    controlBurst: setting(
      10_000,
      'count',
      'PING and SETTINGS of a peer in a row. Wide: gRPC measures its link with a PING for each window.',
    ),
    controlsPerSecond: setting(1_000, 'per second', 'How fast that allowance comes back.'),
    emptyBurst: setting(1_000, 'count', 'DATA frames in a row that carry nothing.'),
    emptiesPerSecond: setting(100, 'per second', 'How fast that allowance comes back.'),
    drainPingMs: setting(
      1_000,
      'ms',
      'How long a client has to answer the PING that follows the first of two GOAWAYs, before the second is sent.',
    ),
    pingIntervalMs: setting(
      310_000,
      'ms',
      'Between PINGs to an upstream with requests under way: servers of gRPC end the connections of whoever asks more often than every five minutes. A node that vanishes is noticed by its tunnel.',
    ),
    pingTimeoutMs: setting(20_000, 'ms', 'An upstream that has not answered a PING for this long is gone.'),
    resetsPerSecond: setting(
      1_000,
      'per second',
      'How fast that allowance comes back (33, as in nghttp2, ends channels with many time-outs).',
    ),
  },
} as const satisfies SettingGroup;

/** HTTP/2: the numbers. */
export const HTTP2 = valuesOf(HTTP2_SETTINGS);
