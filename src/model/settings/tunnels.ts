import { type SettingGroup, setting, valuesOf } from './setting.ts';

const KIB = 1_024;
const MIB = 1_024 * KIB;
/** A full record of TLS 1.3 on the wire: head, content, its type, and the tag of AES-GCM. Fixed by RFC 8446 5.2. */
const TLS_RECORD_BYTES = 5 + 16 * KIB + 1 + 16;
/** What OpenSSL leaves unused in front of what it reads, so that content is aligned. Fixed by OpenSSL. */
const TLS_ALIGN_BYTES = 3;

/** Tunnels (HBONE): the rows of the table. */
export const TUNNEL_SETTINGS = {
  about: { title: 'Tunnels (HBONE)', text: 'Between agents, waypoints and other HBONE peers.' },
  rows: {
    connectTimeoutMs: setting(
      10_000,
      'ms',
      "To reach an app or an endpoint by TCP, TLS and CONNECT included (Istio's connectTimeout).",
    ),
    acceptBacklogMax: setting(4_096, 'count', "Connections that wait to be accepted: a burst of a whole node's clients."),
    tlsReadBytes: setting(
      2 * TLS_RECORD_BYTES + TLS_ALIGN_BYTES,
      'bytes',
      'Read at once for one TLS connection; held only while there is something in it. Whole records: a part of one costs a read of its own, and OpenSSL moves what is behind a record when it has taken it.',
    ),
    peerChainBytesMax: setting(
      64 * KIB,
      'bytes',
      "A peer's certificates. A SPIFFE certificate with its way to the root takes 2 KiB: more is a mistake or an attack.",
    ),
    peerChainDepthMax: setting(10, 'count', "Certificates between a peer's and the root; chains have two at the most."),
    handshakeTimeoutMs: setting(
      10_000,
      'ms',
      "From the dialled socket to the peer's first SETTINGS; for accepted ones see `DOOR.deadlineMs`.",
    ),
    responseTimeoutMs: setting(
      20_000,
      'ms',
      'To the answer of a CONNECT: the server dials the app for up to `connectTimeoutMs` and then needs time to say that it failed.',
    ),
    idleTimeoutMs: setting(
      300_000,
      'ms',
      'An unused client connection is closed after this and up to a tenth more, so that a fleet does not close at once (B19).',
    ),
    streamsPerConnectionMax: setting(
      100,
      'count',
      'Streams a client opens on one connection, or fewer when the peer allows fewer (B16).',
    ),
    serverStreamsMax: setting(200, 'count', 'Streams our servers allow on one connection: twice what our clients use (B15).'),
    firstWindowBytes: setting(
      128 * KIB,
      'bytes',
      'What a peer may send ahead on a stream at first. It doubles as long as its reader keeps up; one whose reader has stopped holds no more than this, and holds up nobody (B15).',
    ),
    streamWindowBytes: setting(4 * MIB, 'bytes', 'Up to which that grows: the bandwidth of a fast link times its delay.'),
    grownWindowsBytes: setting(
      32 * MIB,
      'bytes',
      'By how much the windows of streams may have grown, all together: of those that one workload opened, and of those that come to it, in each data thread.',
    ),
    connectionWindowBytes: setting(
      16 * MIB,
      'bytes',
      'On its way on one connection; given back when it arrives, so that unread streams hold only their own windows (B15).',
    ),
    frameBytesMax: setting(MIB, 'bytes', 'Frame size we announce: bulk transfers cost fewer frames.'),
    serverHeaderListBytesMax: setting(64 * KIB, 'bytes', "Headers of one CONNECT; Istio's proxies accept about as much."),
    clientHeaderListBytesMax: setting(16 * KIB, 'bytes', 'Headers of one answer: a status and baggage.'),
    sessionsMax: setting(10_000, 'count', 'Connections of one server, handshakes included; further ones are closed at once.'),
    attemptsMax: setting(3, 'count', 'How often a request that certainly was not served is tried on another connection.'),
    pingIntervalMs: setting(10_000, 'ms', 'A PING goes out this long after the start, and after each answer.'),
    pingTimeoutMs: setting(
      20_000,
      'ms',
      'A peer that has not answered a PING for this long is gone: half a minute in all (B21).',
    ),
    copyBytes: setting(128 * KIB, 'bytes', 'Buffer for bytes that arrive without room for a frame header in front.'),
    controlFrameBytesMax: setting(
      128 * KIB,
      'bytes',
      "Larger control frames are an attack: HEADERS are bounded by the header list's limit, the rest is tiny.",
    ),
    hpackIntegerMax: setting(
      0xff_ffff,
      'count',
      'The largest integer of HPACK that is read; no length or index comes near (RFC 7541 5.1 asks for a limit).',
    ),
    continuationsMax: setting(
      32,
      'count',
      'CONTINUATION frames of one header block: empty ones cost us work and the peer nothing (CVE-2024-27316).',
    ),
    cutStreamsMax: setting(
      256,
      'count',
      'Streams of a connection that we ended before the peer had and that are remembered: what still comes on them has crossed with our end, on all others that are gone it is a fault (RFC 9113 5.1). Of older ones everything is ignored.',
    ),
    resetBurst: setting(
      20_000,
      'count',
      'Tunnels a peer may cancel in a row before they are answered ("rapid reset", CVE-2023-44487). The peer is a proven node proxy, and its apps share the connection: 4,000 of them that give up in four seconds are no attack.',
    ),
    resetsPerSecond: setting(2_000, 'per second', 'How fast that allowance comes back: what one core of an agent opens at most.'),
    controlBurst: setting(500, 'count', 'Frames in a row that demand an answer (SETTINGS, PING) or do nothing (PRIORITY).'),
    controlsPerSecond: setting(50, 'per second', 'How fast that allowance comes back.'),
    emptyBurst: setting(100, 'count', 'Frames in a row that carry nothing.'),
    emptiesPerSecond: setting(10, 'per second', 'How fast that allowance comes back.'),
    lingerMs: setting(
      5_000,
      'ms',
      'A connection that we have ended waits this long for its peer to end it, too: what was written last can still arrive.',
    ),
    unacknowledgedMs: setting(
      15_000,
      'ms',
      'What was sent to a peer and is not acknowledged for this long ends the connection: its node is gone. Its kernel acknowledges also for one that is busy.',
    ),
    tcpKeepAliveMs: setting(180_000, 'ms', 'Silence before the kernel probes a connection to an app or a peer, as ztunnel.'),
  },
} as const satisfies SettingGroup;

/** Tunnels (HBONE): the numbers. */
export const TUNNEL = valuesOf(TUNNEL_SETTINGS);
