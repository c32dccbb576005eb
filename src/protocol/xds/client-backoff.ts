import { CONTROL } from '#model/settings/control-planes.ts';
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
 * Milliseconds to wait before the next stream, and what to pass as `previousMs` next time.
 * `previousMs` starts as 0. No jitter, as ztunnel does it. Source: control-plane-protocols 1.9.
 */
export function reconnectDelay(previousMs: number, end: StreamEnd): { delayMs: number; previousMs: number } {
  switch (end.kind) {
    case 'clean':
      return { delayMs: 0, previousMs: 0 };
    case 'broken':
      if (isTransient(end.code, end.details)) return { delayMs: CONTROL.backoffFirstMs, previousMs: 0 };
      return doubled(previousMs);
    case 'not-established':
      return doubled(previousMs);
  }
}

function doubled(previousMs: number): { delayMs: number; previousMs: number } {
  const delayMs = previousMs === 0 ? CONTROL.backoffFirstMs : Math.min(previousMs * 2, CONTROL.backoffMaxMs);
  return { delayMs, previousMs: delayMs };
}

function isTransient(code: string, details: string): boolean {
  if (TRANSIENT_CODES.has(code)) return true;
  return code === 'UNAVAILABLE' && TRANSIENT_DETAILS.some((part) => details.toLowerCase().includes(part));
}
