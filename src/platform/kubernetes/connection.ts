import type { IncomingMessage } from 'node:http';
import { Agent, type RequestOptions, request } from 'node:https';
import { WeftError } from '#model/error.ts';
import { KUBERNETES } from '#model/settings/kubernetes.ts';
import { type ApiStatus, readStatus } from '#protocol/kubernetes/api-status.ts';
import type { ClusterAccess } from './access.ts';
import { ApiTraffic } from './api-traffic.ts';
import { bounded } from './read-body.ts';

/** What an API server answered in place of what was asked. */
export class ApiError extends WeftError {
  readonly status: ApiStatus;

  constructor(asked: string, status: ApiStatus) {
    super('WEFT_KUBERNETES_ANSWER', `${asked}: ${status.message} (${status.code} ${status.reason})`.trim(), {
      remedy: status.code === 403 ? 'give the account that asks this right' : 'see the message of the API server',
    });
    this.status = status;
  }
}

/** One question. `body`: is sent as JSON; `watch`: the answer goes on for as long as it may. */
export type ApiRequest = {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  path: string;
  query?: Readonly<Record<string, string>>;
  body?: object;
  contentType?: string;
  accept?: string;
  signal?: AbortSignal;
};

/** What following needs of a connection. */
export type Asking = Pick<KubernetesConnection, 'access' | 'ask' | 'stream' | 'reach'>;

/** What the system says where nobody listens, or nothing leads there. */
const AWAY: ReadonlySet<string> = new Set(['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH']);

/**
 * Whether an API server takes connections. One that had taken none and answers is back: whoever waits with growing pauses need not wait them
 * out. Of one that only answers late or badly nothing is told: it has enough to do.
 */
export class Reach {
  readonly #waiting = new Set<() => void>();
  #isAway = false;

  /** A connection to it has failed. */
  failed(code: string | undefined): void {
    this.#isAway ||= code !== undefined && AWAY.has(code);
  }

  /** It has done what it was asked. */
  answered(): void {
    if (!this.#isAway) return;
    this.#isAway = false;
    for (const back of [...this.#waiting]) back();
  }

  /** `back` is called whenever it is back; returns what ends that. */
  whenBack(back: () => void): () => void {
    this.#waiting.add(back);
    return () => void this.#waiting.delete(back);
  }
}

/**
 * Asks one API server over HTTP/1.1: each watch has a connection of its own. So a stall of one is no stall of the others, a flow
 * control window is not shared, and a connection that leads nowhere is found by TCP alone; there are a dozen of them, not thousands.
 */
export class KubernetesConnection {
  readonly access: ClusterAccess;
  readonly traffic = new ApiTraffic();
  readonly reach = new Reach();
  readonly #calls: Agent;
  readonly #watches: Agent;
  readonly #userAgent: string;

  /** `part`: who of us asks, by which the API server's own records tell us apart. */
  constructor(access: ClusterAccess, version: string, part = 'weft-control') {
    this.access = access;
    this.#userAgent = `${part}/${version}`;
    const { caPem, certPem, keyPem, serverName } = access;
    const tls = {
      ...(caPem === null ? {} : { ca: caPem }),
      ...(certPem === null || keyPem === null ? {} : { cert: certPem, key: keyPem }),
      ...(serverName === null ? {} : { servername: serverName }),
      minVersion: 'TLSv1.2' as const,
      timeout: KUBERNETES.connectMs,
      keepAliveMsecs: KUBERNETES.keepaliveMs,
    };
    this.#calls = new Agent({ ...tls, keepAlive: true, maxSockets: 8 });
    this.#watches = new Agent({ ...tls, keepAlive: false });
  }

  /** The answer as JSON. Errors: ApiError; WEFT_KUBERNETES_API when there is none; WEFT_KUBERNETES_ACCESS. */
  async ask(question: ApiRequest, bytesMax: number = KUBERNETES.answerBytesMax): Promise<unknown> {
    const late = AbortSignal.timeout(KUBERNETES.callMs);
    const signal = question.signal === undefined ? late : AbortSignal.any([question.signal, late]);
    const answer = await this.#answer({ ...question, signal }, this.#calls);
    const text = await bounded(this.#counted(question.path, answer), bytesMax);
    try {
      return JSON.parse(text);
    } catch (cause) {
      throw unreachableError(this.access, `the answer to ${question.method} ${question.path} is no JSON`, cause);
    }
  }

  /** The answer piece by piece, for as long as it goes on. Errors: as of `ask`; those of the connection while it is read. */
  async stream(question: ApiRequest): Promise<AsyncIterable<Buffer>> {
    return this.#counted(question.path, await this.#answer(question, this.#watches));
  }

  close(): void {
    this.#calls.destroy();
    this.#watches.destroy();
  }

  async *#counted(path: string, answer: IncomingMessage): AsyncGenerator<Buffer, void, void> {
    const traffic = this.traffic.of(path);
    for await (const piece of answer as AsyncIterable<Buffer>) {
      traffic.receivedBytes += piece.length;
      yield piece;
    }
  }

  /** A refused token may be one that was renewed in its file a moment ago: it is asked once more. */
  async #answer(question: ApiRequest, agent: Agent): Promise<IncomingMessage> {
    const answer = await this.#send(question, agent, false);
    if (answer.statusCode !== 401) return this.#checked(question, answer);
    answer.resume();
    return this.#checked(question, await this.#send(question, agent, true));
  }

  async #checked({ method, path }: ApiRequest, answer: IncomingMessage): Promise<IncomingMessage> {
    const { statusCode = 500, headers } = answer;
    if (statusCode >= 200 && statusCode < 300) {
      this.reach.answered();
      return answer;
    }
    const text = await bounded(this.#counted(path, answer), KUBERNETES.answerBytesMax);
    let told: unknown = null;
    try {
      told = JSON.parse(text);
    } catch {
      told = { message: text.trim().slice(0, 500) || `HTTP ${statusCode}` };
    }
    const status = readStatus(told, statusCode);
    const wait = Number(headers['retry-after']);
    const retryAfterS = Number.isFinite(wait) && wait > 0 ? Math.min(wait, KUBERNETES.retryAfterSecondsMax) : status.retryAfterS;
    throw new ApiError(`${method} ${path}`, { ...status, code: statusCode, retryAfterS });
  }

  async #send(question: ApiRequest, agent: Agent, anew: boolean): Promise<IncomingMessage> {
    const { method, path, query = {}, body, contentType = 'application/json', accept = 'application/json', signal } = question;
    const token = await this.access.token(anew);
    const { server } = this.access;
    const sent = body === undefined ? null : Buffer.from(JSON.stringify(body));
    const search = new URLSearchParams(query).toString();
    const options: RequestOptions = {
      agent,
      method,
      host: server.hostname.replace(/^\[|\]$/g, ''),
      port: server.port === '' ? 443 : server.port,
      path: `${server.pathname.replace(/\/$/, '')}${path}${search === '' ? '' : `?${search}`}`,
      headers: {
        accept,
        'user-agent': this.#userAgent,
        ...(token === null ? {} : { authorization: `Bearer ${token}` }),
        ...(sent === null ? {} : { 'content-type': contentType, 'content-length': sent.length }),
      },
      ...(signal === undefined ? {} : { signal }),
    };
    this.traffic.of(path).requests++;
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const asked = request(options, resolve);
    asked.on('error', (cause: NodeJS.ErrnoException) => {
      this.reach.failed(cause.code);
      reject(unreachableError(this.access, `${method} ${path} failed: ${cause.message}`, cause));
    });
    // What a server that stands still would cost: the time until the head of its answer.
    asked.setTimeout(KUBERNETES.answerMs, () => asked.destroy(new Error(`no answer within ${KUBERNETES.answerMs} ms`)));
    asked.on('socket', (socket) => socket.setKeepAlive(true, KUBERNETES.keepaliveMs));
    asked.end(sent);
    const answer = await promise;
    asked.setTimeout(0);
    return answer;
  }
}

/** There is no answer. */
export function unreachableError({ server }: ClusterAccess, message: string, cause?: unknown): WeftError {
  return new WeftError('WEFT_KUBERNETES_API', `the API server ${server.host} is not reached: ${message}`, {
    cause,
    remedy: 'see that it runs and is reachable from here; what was known stays in force meanwhile',
  });
}
