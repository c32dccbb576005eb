import type { Http2Settings } from '#protocol/http/v2/settings.ts';

/** TCP port of HBONE on every workload. */
export const HBONE_PORT = 15_008;
/** TLS 1.3 suites, in order of preference. */
export const HBONE_CIPHER_SUITES: readonly string[] = ['TLS_AES_256_GCM_SHA384', 'TLS_AES_128_GCM_SHA256'];
export const HBONE_ALPN = 'h2';

const MIB = 1024 * 1024;

/** The connection window is four times a stream's: equal ones let one unread stream stop all others (B15). */
const WINDOWS = { streamWindowBytes: 4 * MIB, connectionWindowBytes: 16 * MIB, frameBytesMax: MIB };

/** What our servers announce (B15). */
export const HBONE_SERVER_SETTINGS: Http2Settings = { ...WINDOWS, concurrentStreamsMax: 200, headerListBytesMax: 64 * 1024 };
/** What our clients announce. */
export const HBONE_CLIENT_SETTINGS: Http2Settings = { ...WINDOWS, concurrentStreamsMax: 0, headerListBytesMax: 16 * 1024 };

/** Streams a client opens on one connection, or fewer when the peer allows fewer (B16). */
export const STREAMS_PER_CONNECTION_MAX = 100;
/** From the accepted or dialled socket to the peer's first SETTINGS. */
export const HANDSHAKE_TIMEOUT_MS = 10_000;
/** The server dials the app for up to 10 s before it answers; this leaves it time to say that it failed. */
export const RESPONSE_TIMEOUT_MS = 20_000;
/** An unused client connection is closed after this long (B19). */
export const IDLE_TIMEOUT_MS = 300_000;
