/** Bytes of one message head, start line included (Envoy: max_request_headers_kb 60). */
export const HEAD_BYTES_MAX = 60 * 1024;

/** Headers of one message. */
export const HEADERS_MAX = 100;

/** Bytes of one chunk's extension: nothing here reads them, so they only cost. */
export const CHUNK_EXTENSION_BYTES_MAX = 4 * 1024;

/** Bytes that all chunk extensions of a body may have beyond the bytes of the body itself. */
export const CHUNK_EXTENSION_SURPLUS_MAX = 16 * 1024;

/** Bytes of the trailers, which are dropped. */
export const TRAILER_BYTES_MAX = HEAD_BYTES_MAX;

/** Interim responses that may come before the final one. */
export const INTERIM_RESPONSES_MAX = 32;

/** A body that fits is copied behind its head, so that both leave in one write. */
export const COALESCED_BYTES_MAX = 16 * 1024;

/** The rest of a request body that is read and dropped after an early reply, to keep the connection. */
export const DRAINED_BODY_BYTES_MAX = 64 * 1024;

/** Milliseconds between our last byte and the close of a connection whose peer does not close (Envoy: delayed close 1 s). */
export const LINGER_MS = 1_000;
