import { WeftError } from '#model/error.ts';
import type { Child } from '#testbed/processes/child.ts';
import { within } from '#testbed/processes/wait.ts';
import type {
  ConnectAnswer,
  ConnectRequest,
  Dial,
  HttpAnswer,
  HttpRequest,
  ProbeRequest,
  ResolveAnswer,
  StreamState,
} from './probe-protocol.ts';

const CONNECT_TIMEOUT_MS = 5_000;
const ANSWER_TIMEOUT_MS = 30_000;

type WithoutId<Request> = Request extends { id: number } ? Omit<Request, 'id'> : never;

/** A long-lived connection that the probe keeps ticking. */
export type OpenStream = { state(): Promise<StreamState>; close(): Promise<void> };

/** Speaks to one running probe. Every method fails with WEFT_TESTBED_PROBE when the probe has ended or is stuck. */
export type Probe = {
  name: string;
  /** Process id of the probe itself, whatever started it. */
  pid: number;
  connect(dial: Dial, options?: Partial<ConnectRequest>): Promise<ConnectAnswer & { close(): Promise<void> }>;
  /** The open stream, or the reason why there is none. */
  stream(dial: Dial): Promise<OpenStream | string>;
  http(request: Pick<HttpRequest, 'host' | 'port' | 'path'> & Partial<HttpRequest>): Promise<HttpAnswer>;
  resolve(name: string, family: 4 | 6): Promise<ResolveAnswer>;
};

/** A client of the probe that `child` runs; `pid` is what the probe said its process id is. */
export function createProbe(child: Child, pid: number): Probe {
  const ask = probeChannel(child);
  const close = async (target: number): Promise<void> => void (await ask({ op: 'close', target }));
  return {
    name: child.name,
    pid,
    async connect(dial, options = {}) {
      const defaults = { send: 'ping', bulkBytes: 0, hold: false, timeoutMs: CONNECT_TIMEOUT_MS };
      const { id, answer } = await ask({ op: 'connect', ...defaults, ...options, ...dial });
      return { ...(answer as ConnectAnswer), close: () => close(id) };
    },
    async stream(dial) {
      const { id, answer } = await ask({ op: 'stream', ...dial });
      const { error } = answer as { error: string | null };
      if (error !== null) return error;
      const state = async (): Promise<StreamState> => (await ask({ op: 'stream-state', target: id })).answer as StreamState;
      return { state, close: () => close(id) };
    },
    async http(request) {
      const defaults = { method: 'GET', headers: {}, count: 1, concurrency: 1 };
      return (await ask({ op: 'http', ...defaults, ...request })).answer as HttpAnswer;
    },
    resolve: async (name, family) => (await ask({ op: 'resolve', name, family })).answer as ResolveAnswer,
  };
}

/** Numbers requests and matches answers to them. */
function probeChannel(child: Child): (request: WithoutId<ProbeRequest>) => Promise<{ id: number; answer: unknown }> {
  let lastId = 0;
  const waiting = new Map<number, { resolve(answer: unknown): void; reject(error: Error): void }>();
  child.onLine((line) => {
    const message = parseLine(line);
    if (message === null) return;
    const waiter = waiting.get(message.id);
    waiting.delete(message.id);
    if (message.failure === undefined) waiter?.resolve(message.answer);
    else waiter?.reject(probeError(child, message.failure));
  });
  void child.ended.then(() => {
    for (const waiter of waiting.values()) waiter.reject(probeError(child, 'it ended'));
    waiting.clear();
  });
  return async (request) => {
    if (child.ending() !== null) throw probeError(child, 'it has ended');
    const id = ++lastId;
    const answered = new Promise<unknown>((resolve, reject) => waiting.set(id, { resolve, reject }));
    child.write(JSON.stringify({ id, ...request }));
    return { id, answer: await within(`${request.op} of probe ${child.name}`, ANSWER_TIMEOUT_MS, answered) };
  };
}

/** Lines without an id (what `weft run` may print) are none of the probe's. */
function parseLine(line: string): { id: number; answer?: unknown; failure?: string } | null {
  try {
    const message: unknown = JSON.parse(line);
    return typeof message === 'object' && message !== null && 'id' in message ? (message as { id: number }) : null;
  } catch {
    return null;
  }
}

function probeError(child: Child, why: string): WeftError {
  return new WeftError('WEFT_TESTBED_PROBE', `probe ${child.name}: ${why}`, { remedy: `read ${child.logPath}` });
}
