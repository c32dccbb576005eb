import { accessError, type ClusterAccess } from './access.ts';
import { ApiError, type ApiRequest, type Asking, Reach } from './connection.ts';

/** One watch that was begun: what it asked, and how to go on with it. */
export type ScriptedWatch = {
  request: ApiRequest;
  /** Sends events, one line each. */
  send(...events: object[]): void;
  /** The server ends it. */
  end(): void;
  readonly isEnded: boolean;
};

/** An API server of a test: it answers as it is told, and remembers what it was asked. */
export class ScriptedServer implements Asking {
  readonly access: ClusterAccess = {
    server: new URL('https://cluster.test:6443'),
    caPem: null,
    serverName: null,
    certPem: null,
    keyPem: null,
    token: async () => null,
    from: 'a test',
  };
  readonly reach = new Reach();
  readonly asked: ApiRequest[] = [];
  readonly watches: ScriptedWatch[] = [];
  /** What becomes of a question; an ApiError is thrown. */
  answer: (request: ApiRequest) => object | Error = () => accessError('nothing is answered', '');
  /** What becomes of a watch before its first line; null: it begins. */
  refusal: (request: ApiRequest) => Error | null = () => null;

  async ask(request: ApiRequest): Promise<unknown> {
    this.asked.push(request);
    const answer = this.answer(request);
    if (answer instanceof Error) throw answer;
    return answer;
  }

  async stream(request: ApiRequest): Promise<AsyncIterable<Buffer>> {
    const refused = this.refusal(request);
    const queue: Buffer[] = [];
    let [ended, wake] = [false, () => {}];
    const watch: ScriptedWatch = {
      request,
      send(...events) {
        queue.push(Buffer.from(events.map((event) => `${JSON.stringify(event)}\n`).join('')));
        wake();
      },
      end() {
        ended = true;
        wake();
      },
      get isEnded() {
        return ended;
      },
    };
    this.watches.push(watch);
    if (refused !== null) throw refused;
    request.signal?.addEventListener('abort', () => watch.end());
    return (async function* () {
      for (;;) {
        const piece = queue.shift();
        if (piece !== undefined) yield piece;
        else if (ended) {
          request.signal?.throwIfAborted();
          return;
        } else await new Promise<void>((resolve) => (wake = resolve));
      }
    })();
  }

  /** The last watch that was begun. */
  get last(): ScriptedWatch {
    const watch = this.watches.at(-1);
    if (watch === undefined) throw new Error('no watch was begun');
    return watch;
  }
}

/** An answer that refuses. */
export function refusedWith(code: number, reason: string, retryAfterS: number | null = null): ApiError {
  return new ApiError('GET', { code, reason, message: reason, retryAfterS });
}

/** A Service in one version. */
export function service(name: string, version: number, uid = `uid-${name}`): object {
  return { metadata: { name, namespace: 'shop', uid, resourceVersion: String(version) } };
}

/** The end of what there was, or a mark of the place. */
export function bookmark(version: number, isEnd = false): object {
  const annotations = isEnd ? { annotations: { 'k8s.io/initial-events-end': 'true' } } : {};
  return { type: 'BOOKMARK', object: { metadata: { resourceVersion: String(version), ...annotations } } };
}
