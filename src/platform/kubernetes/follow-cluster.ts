import type { Cancel, Clock, Random } from '#model/effects/clock.ts';
import { WeftError } from '#model/error.ts';
import { Retry } from '#model/resilience/retry.ts';
import { KUBERNETES } from '#model/settings/kubernetes.ts';
import type { BuiltInWatch, ClusterListener, ClusterWatch, FollowedKind, ObjectChange } from '#protocol/kubernetes/following.ts';
import type { KubeObject, ServedKind } from '#protocol/kubernetes/objects.ts';
import { ApiError, type Asking } from './connection.ts';
import { discover } from './discovery.ts';
import { FollowKind } from './follow-kind.ts';
import { Turns } from './turns.ts';

/** What following a cluster needs. */
export type FollowClusterEffects = { connection: Asking; clock: Clock; random: Random };

/**
 * Follows kinds as they come and go: a definition that appears is followed within a moment, objects of one that is removed are
 * gone (K90). Resolves when everything that is served now was told. While the API server is not reached, it waits for it.
 * Errors: WEFT_KUBERNETES_ACCESS, WEFT_KUBERNETES_ANSWER when it does not let us in.
 */
export async function followCluster(
  effects: FollowClusterEffects,
  kinds: readonly FollowedKind[],
  listener: ClusterListener,
): Promise<ClusterWatch> {
  const following = new FollowCluster(effects, kinds, listener);
  await following.start();
  return following;
}

/**
 * Follows kinds that every API server has: it is not asked which there are, so that an account needs no right beyond those to read
 * them. What goes wrong is tried again for as long as it is not closed.
 */
export function followBuiltIn(
  effects: FollowClusterEffects,
  kinds: ReadonlyMap<FollowedKind, ServedKind>,
  listener: ClusterListener,
): BuiltInWatch {
  const initials = new Turns(KUBERNETES.initialsMax);
  const following = [...kinds].map(([kind, served]) => new FollowKind(kind, served, { ...effects, initials }, listener));
  return {
    told: Promise.all(following.map(({ told }) => told)).then(() => {}),
    problems: () => [...new Set(following.flatMap(({ problem }) => (problem === null ? [] : [problem.message])))],
    close() {
      for (const one of following) one.close();
    },
  };
}

/** Definitions of kinds; of each its name is enough, `<plural>.<group>`. */
const DEFINITIONS: FollowedKind = {
  group: 'apiextensions.k8s.io',
  kind: 'CustomResourceDefinition',
  versions: ['v1'],
  metadataOnly: true,
  keep: ({ apiVersion, kind, metadata: { name, uid, resourceVersion } }: KubeObject): KubeObject => ({
    apiVersion,
    kind,
    metadata: { name, ...(uid === undefined ? {} : { uid }), ...(resourceVersion === undefined ? {} : { resourceVersion }) },
  }),
};

class FollowCluster implements ClusterWatch {
  readonly #effects: FollowClusterEffects;
  readonly #kinds: readonly FollowedKind[];
  readonly #listener: ClusterListener;
  readonly #initials = new Turns(KUBERNETES.initialsMax);
  readonly #following = new Map<FollowedKind, FollowKind>();
  /** `<plural>.<group>` of every definition there is. */
  readonly #defined = new Set<string>();
  readonly #retry: Retry;
  /** Resolves when it is known for the first time which kinds are served. */
  readonly #first = Promise.withResolvers<void>();
  #definitions: FollowKind | null = null;
  #mayFollowDefinitions = true;
  #looking: Promise<void> | null = null;
  #isStale = false;
  #cancelQuiet: Cancel = () => {};
  #problem: WeftError | null = null;
  #closed = false;

  constructor(effects: FollowClusterEffects, kinds: readonly FollowedKind[], listener: ClusterListener) {
    this.#effects = effects;
    this.#kinds = kinds;
    this.#listener = listener;
    const backoff = { firstMs: KUBERNETES.missingRetryMs, maxMs: KUBERNETES.discoverMs };
    this.#retry = new Retry(effects, backoff, () => this.#look());
  }

  async start(): Promise<void> {
    this.#look();
    await this.#first.promise;
    await Promise.all([...this.#following.values()].map(({ told }) => told));
  }

  served(kind: FollowedKind): ServedKind | null {
    return this.#following.get(kind)?.served ?? null;
  }

  problems(): string[] {
    const all = [this.#definitions, ...this.#following.values()].map((one) => one?.problem ?? null);
    return [...new Set([this.#problem, ...all].flatMap((problem) => (problem === null ? [] : [problem.message])))];
  }

  close(): void {
    this.#closed = true;
    this.#cancelQuiet();
    this.#retry.close();
    this.#definitions?.close();
    for (const one of this.#following.values()) one.close();
  }

  /** Looks which kinds are served, once at a time; what changes meanwhile is looked at afterwards. */
  #look(): void {
    if (this.#closed) return;
    if (this.#looking !== null) {
      this.#isStale = true;
      return;
    }
    this.#retry.begun();
    this.#isStale = false;
    this.#looking = this.#lookOnce().finally(() => {
      this.#looking = null;
      if (this.#isStale) this.#look();
    });
  }

  async #lookOnce(): Promise<void> {
    try {
      await this.#followDefinitions();
      const served = await discover(this.#effects.connection, this.#kinds);
      if (this.#closed) return;
      const isMissing = await this.#adopt(served);
      this.#problem = null;
      this.#first.resolve();
      // Without rights to follow definitions, or where one is not served yet: again after a while.
      if (isMissing || this.#definitions === null) this.#retry.failed();
      else this.#retry.succeeded();
    } catch (error) {
      // Once there was an answer, this changes nothing.
      if (isRefusal(error)) this.#first.reject(error);
      const problem = error instanceof WeftError ? error : new WeftError('WEFT_KUBERNETES_API', String(error), { cause: error });
      if (this.#problem?.message !== problem.message && !this.#closed) this.#listener.trouble(problem);
      this.#problem = problem;
      this.#retry.failed();
    }
  }

  /** Definitions first, so that none that comes meanwhile is missed. */
  async #followDefinitions(): Promise<void> {
    if (this.#definitions !== null || !this.#mayFollowDefinitions) return;
    const [[, served] = []] = await discover(this.#effects.connection, [DEFINITIONS]);
    if (served === undefined || this.#closed) return;
    const listener: ClusterListener = {
      changed: (_kind, changes) => this.#defines(changes),
      trouble: (problem) => {
        this.#listener.trouble(problem);
        if (!isRefusal(problem)) return;
        // Without this right it is looked from time to time.
        this.#definitions?.close();
        this.#definitions = null;
        this.#mayFollowDefinitions = false;
      },
    };
    const definitions = new FollowKind(DEFINITIONS, served, { ...this.#effects, initials: this.#initials }, listener);
    this.#definitions = definitions;
    await definitions.told;
  }

  #defines(changes: readonly ObjectChange[]): void {
    for (const { key, object } of changes) {
      if (object === null) this.#defined.delete(key);
      else this.#defined.add(key);
    }
    this.#cancelQuiet();
    this.#cancelQuiet = this.#effects.clock.after(KUBERNETES.discoverQuietMs, () => this.#look());
  }

  /** Follows what is served, and no more what is not. Returns whether a definition of a wanted group is not served yet. */
  async #adopt(served: ReadonlyMap<FollowedKind, ServedKind>): Promise<boolean> {
    for (const kind of this.#kinds) {
      const now = served.get(kind);
      const before = this.#following.get(kind);
      // A server tells of a kind for a while after its definition has gone.
      if (now === undefined || !this.#isDefined(kind, now)) {
        if (before !== undefined) await this.#leave(kind, before);
      } else if (before === undefined) {
        this.#follow(kind, now);
      } else if (before.served.version !== now.version) {
        const known = before.close();
        known.doubt();
        this.#follow(kind, now, known);
      }
    }
    return this.#kinds.some((kind) => !served.has(kind) && this.#defined.has(likelyDefinition(kind)));
  }

  #follow(kind: FollowedKind, served: ServedKind, known?: ReturnType<FollowKind['close']>): void {
    const effects = { ...this.#effects, initials: this.#initials };
    this.#following.set(kind, new FollowKind(kind, served, effects, this.#listener, known));
  }

  async #leave(kind: FollowedKind, following: FollowKind): Promise<void> {
    this.#following.delete(kind);
    const changes = following.close().goneAll();
    if (changes.length > 0) await this.#listener.changed(kind, changes);
  }

  #isDefined({ builtIn = false, group }: FollowedKind, { plural }: ServedKind): boolean {
    return this.#definitions === null || builtIn || group === '' || this.#defined.has(`${plural}.${group}`);
  }
}

/** The name that a definition of the kind has, as names are formed in English. */
function likelyDefinition({ kind, group }: FollowedKind): string {
  const singular = kind.toLowerCase();
  return `${singular.endsWith('y') ? `${singular.slice(0, -1)}ies` : `${singular}s`}.${group}`;
}

function isRefusal(error: unknown): boolean {
  if (error instanceof ApiError) return error.status.code === 401 || error.status.code === 403;
  return error instanceof WeftError && error.code === 'WEFT_KUBERNETES_ACCESS';
}
