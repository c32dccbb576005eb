/** How a stream came to its end; decides how soon the next one is tried. */
export type StreamEnd =
  /** The RPC was never established: no connection, or refused before the first answer. */
  | { kind: 'not-established' }
  /** The server ended it without a status of failure, after it had answered. */
  | { kind: 'clean' }
  /** A status in mid-stream; `code` is the gRPC status in capitals. */
  | { kind: 'broken'; code: string; details: string };

/** Codes that only say the connection went away, as happens whenever a control plane is replaced. */
const TRANSIENT_CODES: ReadonlySet<string> = new Set(['UNKNOWN', 'CANCELLED', 'DEADLINE_EXCEEDED']);
const TRANSIENT_DETAILS = ['transport is closing', 'received prior goaway'];

/**
 * How long to wait before the next stream: not at all, the first wait (the connection only went away, as happens whenever a
 * control plane is replaced), or longer with each time. Source: docs/rules/control-plane.md.
 */
export function reconnectWait(end: StreamEnd): 'none' | 'first' | 'growing' {
  switch (end.kind) {
    case 'clean':
      return 'none';
    case 'broken':
      return isTransient(end.code, end.details) ? 'first' : 'growing';
    case 'not-established':
      return 'growing';
  }
}

function isTransient(code: string, details: string): boolean {
  if (TRANSIENT_CODES.has(code)) return true;
  return code === 'UNAVAILABLE' && TRANSIENT_DETAILS.some((part) => details.toLowerCase().includes(part));
}
