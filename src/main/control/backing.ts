import { join } from 'node:path';
import type { Authenticator } from '#control-plane/authentication/authenticator.ts';
import type { ResourceParser } from '#control-plane/resources/resource-parser.ts';
import type { EditFiles } from '#control-plane/sources/directory/directory-editor.ts';
import { directorySource, type WatchFiles } from '#control-plane/sources/directory/directory-source.ts';
import type { ResourceEditor } from '#control-plane/sources/editor.ts';
import { LastGoodVersions } from '#control-plane/sources/last-good.ts';
import type { Source } from '#control-plane/sources/source.ts';
import type { WaypointKeeper } from '#control-plane/waypoints/plan.ts';
import type { Log } from '#model/effects/log.ts';
import { type Replica, SOLE_REPLICA } from '#model/effects/replica.ts';
import type { StateStore } from '#model/effects/state-store.ts';
import { WeftError } from '#model/error.ts';
import type { Meters } from '#model/telemetry/meters.ts';
import { systemClock } from '#platform/clock.ts';
import { EtcdConnection, type EtcdPlace } from '#platform/etcd/connection.ts';
import { editResources } from '#platform/etcd/edit-resources.ts';
import { EtcdReplica } from '#platform/etcd/etcd-replica.ts';
import { etcdState } from '#platform/etcd/etcd-state.ts';
import { type ResourceWatch, watchResources } from '#platform/etcd/watch-resources.ts';
import { exchangeText, readIfThere } from '#platform/files/edit-files.ts';
import { holdStateDirectory, openStateDirectory } from '#platform/files/state-directory.ts';
import { type DirectoryWatch, watchDirectory } from '#platform/files/watch-directory.ts';
import { systemRandom } from '#platform/random.ts';
import type { documentReader } from './document-reader.ts';

/** Where configuration comes from, and where what is kept lies. */
export type Backing = {
  state: StateStore;
  /** Where what is in force is kept for a quick start; null: nowhere. */
  kept: string | null;
  replica: Replica;
  /** The configuration, which nobody reads yet. */
  open(parts: SourceParts): Configuration;
  /** Who proves callers: tokens of our own, and who else there is. */
  authenticator(own: Authenticator): Authenticator;
  /** Keeps the waypoints where the configuration is; null: nobody does there. */
  waypoints(rootsPem: () => string): WaypointKeeper | null;
  /** Whether those are made there that nobody named. */
  autoWaypoints: boolean;
  /** Shows what it has carried on a metrics page, where it counts that. */
  meter(meters: Meters): void;
  /** Looks at the configuration now. */
  reload(): Promise<void>;
  /** Resolves when this one may serve: it leads, or what all need of the state (by name) is there. Errors: WEFT_NO_LEADER. */
  ready(names: readonly string[]): Promise<void>;
  /** Lets go of it. */
  close(): Promise<void>;
};

/** Where resources are read, and how they are written there. */
export type Configuration = { source: Source; editor: ResourceEditor };

/** What a source is made with. */
export type SourceParts = { parser: ResourceParser; reader: ReturnType<typeof documentReader> };

type Files = { watch: WatchFiles; edit: EditFiles; state: StateStore; log: Log };

/** Files as a source, wherever they lie. */
function openFiles({ parser, reader }: SourceParts, { watch, edit, state, log }: Files): Configuration {
  const lastGood = new LastGoodVersions(state, log, { clock: systemClock, random: systemRandom });
  const source = directorySource({ clock: systemClock, readElsewhere: (wanted) => reader.read(wanted), parser, watch, lastGood });
  return { source, editor: source.editor(edit) };
}

/** Directories of this machine, one for resources and one for state, which no other control plane has. Errors: as `startControl`. */
export async function directoryBacking(
  configDir: string,
  stateDir: string,
  owner: { runDir?: string },
  log: Log,
): Promise<Backing> {
  const state = await openStateDirectory(stateDir, { kind: 'state', ...owner });
  const hold = holdStateDirectory(stateDir);
  let watching: DirectoryWatch | null = null;
  const watch: WatchFiles = async (listener) => {
    watching = await watchDirectory(configDir, listener);
    return watching;
  };
  const edit: EditFiles = {
    directory: configDir,
    read: readIfThere,
    replace: exchangeText,
    look: async (path) => watching?.look(path),
  };
  return {
    state,
    kept: join(stateDir, 'kept'),
    replica: SOLE_REPLICA,
    autoWaypoints: false,
    waypoints: () => null,
    open: (parts) => openFiles(parts, { watch, edit, state, log }),
    authenticator: (own) => own,
    meter() {},
    reload: async () => watching?.rescan(),
    ready: async () => {},
    close: async () => hold.release(),
  };
}

/** An etcd, which several control planes may share. `prefix`: of all keys, ends in a slash. */
export type StorePlace = EtcdPlace & { prefix: string };

/** Resources and state in etcd, as one replica of several; `name`: how the others call it. Errors: WEFT_ETCD, WEFT_ETCD_TLS. */
export async function etcdBacking(place: StorePlace, name: string, log: Log): Promise<Backing> {
  const { prefix } = place;
  const connection = new EtcdConnection(place);
  let watching: ResourceWatch | null = null;
  const store = `etcd://${place.members.join()}/${prefix.slice(0, -1)}`;
  const replica = new EtcdReplica({ connection, prefix, name, store, clock: systemClock, log });
  try {
    await replica.join();
  } catch (error) {
    connection.close();
    throw error;
  }
  const state = etcdState(connection, `${prefix}state/`, {
    leadership: () => replica.leadership(),
    leader: () => replica.leader(),
  });
  const watch: WatchFiles = async (listener) => {
    watching = await watchResources(connection, `${prefix}resources/`, systemClock, listener);
    return watching;
  };
  return {
    state,
    kept: null,
    replica,
    autoWaypoints: false,
    waypoints: () => null,
    open: (parts) =>
      openFiles(parts, { watch, edit: editResources(connection, `${prefix}resources/`, () => watching), state, log }),
    authenticator: (own) => own,
    meter() {},
    reload: async () => {}, // etcd tells by itself
    async ready(names) {
      if (await replica.ready(names)) return;
      throw new WeftError('WEFT_NO_LEADER', `no control plane of ${store} has made what all of them need: ${names.join(', ')}`, {
        remedy: 'see why the control plane that leads does not start (its log), and that etcd takes writes',
      });
    },
    async close() {
      await replica.leave();
      connection.close();
    },
  };
}
