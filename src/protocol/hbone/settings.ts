import { TUNNEL } from '#model/settings/tunnels.ts';
import type { Http2Settings } from '#protocol/http/v2/settings.ts';

/** TLS 1.3 suites, in order of preference. */
export const HBONE_CIPHER_SUITES: readonly string[] = ['TLS_AES_256_GCM_SHA384', 'TLS_AES_128_GCM_SHA256'];

/** Key agreements, the preferred first: post-quantum where both sides have it (draft-ietf-tls-ecdhe-mlkem, RFC 8446 4.2.7). */
export const HBONE_GROUPS: readonly string[] = ['X25519MLKEM768', 'X25519', 'P-256'];
export const HBONE_ALPN = 'h2';

/** Readers that have stopped hold up none of the others that share their connection: each holds its own window only. */
const WINDOWS = {
  streamWindowBytes: TUNNEL.firstWindowBytes,
  streamWindowBytesMax: TUNNEL.streamWindowBytes,
  grownWindowsBytesMax: TUNNEL.grownWindowsBytes,
  connectionWindowBytes: TUNNEL.connectionWindowBytes,
  giveBack: 'on-arrival',
  frameBytesMax: TUNNEL.frameBytesMax,
} as const;

/** What our servers announce (B15). */
export const HBONE_SERVER_SETTINGS: Http2Settings = {
  ...WINDOWS,
  concurrentStreamsMax: TUNNEL.serverStreamsMax,
  headerListBytesMax: TUNNEL.serverHeaderListBytesMax,
};
/** What our clients announce. */
export const HBONE_CLIENT_SETTINGS: Http2Settings = {
  ...WINDOWS,
  concurrentStreamsMax: 0,
  headerListBytesMax: TUNNEL.clientHeaderListBytesMax,
};
