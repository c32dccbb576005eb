import { join } from 'node:path';
import type { EditFiles } from '#control-plane/sources/directory/directory-editor.ts';
import type { WatchFiles } from '#control-plane/sources/directory/directory-source.ts';
import type { Log } from '#model/effects/log.ts';
import { type Replica, SOLE_REPLICA } from '#model/effects/replica.ts';
import type { StateStore } from '#model/effects/state-store.ts';
import { WeftError } from '#model/error.ts';
import { systemClock } from '#platform/clock.ts';
import { EtcdConnection, type EtcdPlace } from '#platform/etcd/connection.ts';
import { editResources } from '#platform/etcd/edit-resources.ts';
import { EtcdReplica } from '#platform/etcd/etcd-replica.ts';
import { etcdState } from '#platform/etcd/etcd-state.ts';
import { type ResourceWatch, watchResources } from '#platform/etcd/watch-resources.ts';
import { exchangeText, readIfThere } from '#platform/files/edit-files.ts';
import { holdStateDirectory, openStateDirectory } from '#platform/files/state-directory.ts';
import { type DirectoryWatch, watchDirectory } from '#platform/files/watch-directory.ts';

/** Where configuration comes from, and where what is kept lies. */
export type Backing = {
  state: StateStore;
  /** Where what is in force is kept for a quick start; null: nowhere. */
  kept: string | null;
  replica: Replica;
  /** Follows the configuration. */
  watch: WatchFiles;
  /** Writes configuration, for `weft apply`. */
  edit: EditFiles;
  /** Looks at the configuration now. */
  reload(): Promise<void>;
  /** Resolves when this one may serve: it leads, or what all need of the state (by name) is there. Errors: WEFT_NO_LEADER. */
  ready(names: readonly string[]): Promise<void>;
  /** Lets go of it. */
  close(): Promise<void>;
};

/** Directories of this machine, one for resources and one for state, which no other control plane has. Errors: as `startControl`. */
export async function directoryBacking(configDir: string, stateDir: string, owner: { runDir?: string }): Promise<Backing> {
  const state = await openStateDirectory(stateDir, { kind: 'state', ...owner });
  const hold = holdStateDirectory(stateDir);
  let watching: DirectoryWatch | null = null;
  return {
    state,
    kept: join(stateDir, 'kept'),
    replica: SOLE_REPLICA,
    async watch(listener) {
      watching = await watchDirectory(configDir, listener);
      return watching;
    },
    edit: { directory: configDir, read: readIfThere, replace: exchangeText, look: async (path) => watching?.look(path) },
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
  return {
    state: etcdState(connection, `${prefix}state/`, {
      leadership: () => replica.leadership(),
      leader: () => replica.leader(),
    }),
    kept: null,
    replica,
    async watch(listener) {
      watching = await watchResources(connection, `${prefix}resources/`, systemClock, listener);
      return watching;
    },
    edit: editResources(connection, `${prefix}resources/`, () => watching),
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
