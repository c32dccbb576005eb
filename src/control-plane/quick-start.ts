import type { ResourceStore } from '#control-plane/discovery/resource-store.ts';
import type { KeptState, Moment } from '#control-plane/kept/kept-state.ts';
import type { MeshChanges } from '#control-plane/mesh-changes.ts';
import type { NodeRegistry } from '#control-plane/registry/node-registry.ts';
import type { Source, SourceSink } from '#control-plane/sources/source.ts';
import type { Clock } from '#model/effects/clock.ts';
import type { Log } from '#model/effects/log.ts';
import { inTurns } from '#model/effects/work.ts';
import { CONTROL } from '#model/settings/control-planes.ts';

/** Of what a quick start is made. */
export type QuickStartOptions = {
  kept: KeptState;
  store: ResourceStore;
  registry: NodeRegistry;
  source: Source;
  clock: Clock;
  log: Log;
};

/**
 * Serves at once after a restart what was served before it, if files and registrations are what they were then; what follows is
 * derived as always and replaces it. Where anything is another one nothing of before is served: what it restricted may no longer
 * be all that is to be restricted, so clients keep what they have, and new ones wait.
 */
export class QuickStart {
  readonly #options: QuickStartOptions;

  constructor(options: QuickStartOptions) {
    this.#options = options;
  }

  /** After the registrations were loaded, before the source is started. */
  open(): Promise<void> {
    return this.#options.kept.open();
  }

  /** What the source holds is known by its digest: `serves` is called if that was served before. Returns what was made of it. */
  async looked(digest: string, serves: () => void): Promise<readonly object[]> {
    const { kept, store, registry, clock, log } = this.#options;
    const served = await kept.served(digest, registry.digest());
    if (served !== null) {
      await inTurns(store.restoring(served), clock, CONTROL.serveTurnMs);
      log.info({ resources: store.counts() }, 'what was in force before the restart is served');
      serves();
      await inTurns(store.indexing(), clock, CONTROL.serveTurnMs);
    }
    return kept.parts();
  }

  /** Keeps what is in force for the next start, soon. */
  keep(changes: MeshChanges): void {
    const { kept, store } = this.#options;
    const { addresses, policies } = store.counts();
    if (addresses + policies < kept.from) return;
    kept.keep(() => (changes.isChanging ? null : this.#moment()));
  }

  #moment(): Moment | null {
    const { kept, store, registry, source } = this.#options;
    const content = source.content();
    if (content === null) return null;
    const sources = { build: kept.build, configuration: content.digest, registrations: registry.digest() };
    return { sources, served: store.segments(), parts: content.parts };
  }
}

/**
 * Starts a source; resolves when what it has is in force and `begun` was done, or before that when what was kept of it is served.
 * Errors: those of the source, until something is served.
 */
export async function startSource(
  source: Source,
  change: SourceSink['change'],
  quickStart: QuickStart | null,
  log: Log,
  begun: () => Promise<void>,
): Promise<void> {
  await quickStart?.open();
  const { promise: serves, resolve, reject } = Promise.withResolvers<void>();
  const sink: SourceSink = { change, trouble: (problem) => log.error({ err: problem }, 'configuration cannot be read') };
  if (quickStart !== null) sink.looked = (digest) => quickStart.looked(digest, resolve);
  const told = source.start(sink).then(begun);
  told.then(resolve, reject);
  await serves;
  // Of what goes wrong later nobody else would hear.
  told.catch((error: unknown) => log.error({ err: error }, 'configuration cannot be put in force'));
}
