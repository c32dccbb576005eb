/** Streams a peer may have open on one connection. */
export const CONCURRENT_STREAMS_MAX = 1_024;

/** Requests we put on one upstream connection, whatever more the peer allows. */
export const UPSTREAM_STREAMS_MAX = 100;

/** Unread bytes per stream and per connection that a peer may send ahead (waypoint-l7 section 12). */
export const STREAM_WINDOW_BYTES = 1024 * 1024;
export const CONNECTION_WINDOW_BYTES = 16 * 1024 * 1024;

/** Decoded bytes of one header list (the same limit as for HTTP/1). */
export const HEADER_LIST_BYTES_MAX = 60 * 1024;

/** 100 headers and the four pseudo headers of a request. */
export const HEADER_PAIRS_MAX = 104;

/** Requests withdrawn before an answer, within a second of their start, that end a connection (W74, CVE-2023-44487). */
export const PREMATURE_RESETS_MAX = 250;
export const PREMATURE_WITHIN_MS = 1_000;
