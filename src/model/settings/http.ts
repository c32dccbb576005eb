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
    coalescedBytesMax: setting(16 * KIB, 'bytes', 'A body that fits is copied behind its head, so that both leave in one write.'),
    drainedBodyBytesMax: setting(
      64 * KIB,
      'bytes',
      'The rest of a request body that is read and dropped after an early reply, to keep the connection.',
    ),
    lingerMs: setting(
      1_000,
      'ms',
      'Between our last byte and the close of a connection whose peer does not close (Envoy: delayed close 1 s).',
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
    streamWindowBytes: setting(MIB, 'bytes', 'Unread bytes of one stream that a peer may send ahead (docs/rules/waypoint.md).'),
    connectionWindowBytes: setting(16 * MIB, 'bytes', 'The same of one connection.'),
    headerListBytesMax: setting(60 * KIB, 'bytes', 'Decoded bytes of one header list: the same limit as for HTTP/1.'),
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
      "nghttp2's own bucket for streams that clients reset, however late: so wide that `prematureResetsMax` decides (its default: 1,000).",
    ),
    resetsPerSecond: setting(
      1_000,
      'per second',
      "How fast that bucket fills (nghttp2's default, 33, ends channels with many time-outs).",
    ),
    rejectedStreamsMax: setting(
      1_000_000,
      'count',
      "Streams beyond `concurrentStreamsMax` over the life of a connection: each is refused and repeated elsewhere (node:http2's default, 100, ends it).",
    ),
    invalidFramesMax: setting(
      10_000,
      'count',
      "Invalid frames over the life of a connection: frames that cross with a reset are among them (node:http2's default: 1,000).",
    ),
    sessionMemoryMb: setting(
      64,
      'count',
      'Megabytes: what one connection may hold of heads and unread bodies: four connection windows (default: 10).',
    ),
    settingsPerFrameMax: setting(32, 'count', "Entries of one SETTINGS frame (node:http2's default; there are some ten)."),
    outstandingPingsMax: setting(10, 'count', "PINGs of ours without an answer (node:http2's default; we send none)."),
  },
} as const satisfies SettingGroup;

/** HTTP/2: the numbers. */
export const HTTP2 = valuesOf(HTTP2_SETTINGS);
