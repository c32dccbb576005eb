import { WeftError } from '#model/error.ts';

/** From where a node's agent reaches a replica: address, and the word that its process has for itself. */
export type ReplicaGuest = { ip: string; instance: string };

/** How a replica stands among the others, for the status page. */
export type ReplicaStatus = {
  /** This replica's own name. */
  name: string;
  role: 'leader' | 'follower';
  /** Name of whoever leads; null: nobody, or none that is known. */
  leader: string | null;
  /** Where they share their state, for people. */
  store: string;
  /** Names of the replicas that are alive, this one among them. */
  members: readonly string[];
  /** Of the store, as of which this replica serves. */
  revision: string;
};

/** What a replica tells the control plane that it is. */
export type ReplicaListener = {
  /** Of the state of them all, texts by name, null of one that is gone: everything first, then what changed. */
  state(changes: ReadonlyMap<string, string | null>): void;
  /** Nodes that have a stream at other replicas, by what it comes from: all of a node; none when the last is gone. */
  guests(changes: ReadonlyMap<string, readonly ReplicaGuest[]>): void;
  /** It leads from now on, and was told all that was written before; or it leads no more. */
  leads(leads: boolean): void;
};

/** One of several control planes over one store: one leads, which alone writes; all serve. */
export type Replica = {
  leads(): boolean;
  /** Begins to tell; everything there is has been told when it resolves. */
  follow(listener: ReplicaListener): Promise<void>;
  /** Tells the others from where a node's agent reaches this one; none when its last stream has ended. */
  announce(node: string, guests: readonly ReplicaGuest[]): void;
  /** null: there are no others. */
  status(): ReplicaStatus | null;
};

/** A control plane without others. */
export const SOLE_REPLICA: Replica = { leads: () => true, follow: async () => {}, announce: () => {}, status: () => null };

/** Whether something failed because this replica does not lead. */
export function isNotLeader(error: unknown): boolean {
  return error instanceof WeftError && error.code === 'WEFT_NOT_LEADER';
}

/** What a replica that does not lead is asked for in vain. `leader`: who could do it; null: nobody now. */
export function notLeader(leader: string | null): WeftError {
  return new WeftError('WEFT_NOT_LEADER', `this control plane does not lead: ${leader ?? 'nobody'} does, and it alone writes`, {
    remedy: leader === null ? 'wait some seconds until one of them leads' : `ask the control plane ${leader}`,
  });
}
