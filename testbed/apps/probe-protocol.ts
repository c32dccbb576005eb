/**
 * What the probe is asked and what it answers: one JSON object per line on its standard input and output.
 * The probe is an ordinary program without privileges; run in a workload, it is an app like any other.
 */
export type ProbeRequest =
  | ({ id: number; op: 'connect' } & ConnectRequest)
  | ({ id: number; op: 'stream' } & Dial)
  | { id: number; op: 'stream-state'; target: number }
  | { id: number; op: 'close'; target: number }
  | ({ id: number; op: 'http' } & HttpRequest)
  | { id: number; op: 'resolve'; name: string; family: 4 | 6 };

/** An address, not a name: what is dialled must be certain. */
export type Dial = { host: string; port: number };

/** One exchange with an echo service. */
export type ConnectRequest = Dial & {
  /** Text to send after the greeting; it must come back. */
  send: string;
  /** Further bytes to send; they must come back too. */
  bulkBytes: number;
  /** Keep the connection open until `close`. */
  hold: boolean;
  timeoutMs: number;
};

/** `count` equal requests, `concurrency` at a time. */
export type HttpRequest = Dial & {
  path: string;
  method: string;
  headers: Record<string, string>;
  count: number;
  concurrency: number;
};

/** What the echo service says on accept: the peer it sees. */
export type Greeting = { service: string; peer: string; peerPort: number; local: string; localPort: number };

/** How such an exchange went. */
export type ConnectAnswer = {
  /** Where it ended: `connect` refused, no `greeting`, `echo` incomplete; `done` is success. */
  stage: 'connect' | 'greeting' | 'echo' | 'done';
  /** The errno's name (`ECONNREFUSED`), `CLOSED` for an end of stream, `TIMEOUT`; null on success. */
  error: string | null;
  /** getpeername and getsockname of the probe's socket; null when it never connected. */
  remote: Dial | null;
  local: Dial | null;
  greeting: Greeting | null;
  bytesEchoed: number;
  elapsedMs: number;
};

/** How a long-lived connection fares. */
export type StreamState = {
  open: boolean;
  /** How it ended: an errno's name or `CLOSED`; null while open. */
  how: string | null;
  /** Unix milliseconds. */
  closedAtMs: number | null;
  ticksSent: number;
  ticksEchoed: number;
  /** The longest time between two echoes; a tick is sent every 50 ms. */
  gapMsMax: number;
};

/** What came back, counted. */
export type HttpAnswer = {
  statuses: Record<string, number>;
  /** Answers by the `service/version` in their JSON. */
  versions: Record<string, number>;
  errors: Record<string, number>;
  /** The last answer, whole. */
  body: string;
};

/** What a name stands for; no addresses when `error` says why. */
export type ResolveAnswer = { addresses: string[]; error: string | null };

/** Every answer carries the id of its request; one that could not be run says why in `failure`. */
export type ProbeLine = { id: number; answer: unknown } | { id: number; failure: string };
