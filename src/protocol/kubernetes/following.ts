import type { Soon } from '#model/effects/work.ts';
import type { KubeObject, ServedKind, WantedKind } from './objects.ts';

/** What became of one object; `object` null: it is gone. One that was made anew under its old name is gone first. */
export type ObjectChange = { key: string; object: KubeObject | null };

/** A kind that is followed. What `keep` returns is all that is held of an object; null: it is as if it were not there. */
export type FollowedKind = WantedKind & { keep(object: KubeObject): KubeObject | null };

/** Where it is told what a cluster has. */
export type ClusterListener = {
  /** What became of objects of one kind, in order. More is told when this is done with it. */
  changed(kind: FollowedKind, changes: readonly ObjectChange[]): Soon<void>;
  /** Something cannot be read for now; what was told stays. Told once per problem. */
  trouble(problem: Error): void;
};

/** Objects that are being followed. */
export type ClusterWatch = {
  /** The kind as it is served now; null while it is not. */
  served(kind: FollowedKind): ServedKind | null;
  /** What cannot be read now, a sentence each. */
  problems(): string[];
  /** Tells nothing more. */
  close(): void;
};

/**
 * Follows objects of these kinds, those that are served, as kinds come and go. Resolves when everything there is was told.
 * Errors: WEFT_KUBERNETES_ACCESS, WEFT_KUBERNETES_ANSWER when the API server does not let us in.
 */
export type FollowCluster = (kinds: readonly FollowedKind[], listener: ClusterListener) => Promise<ClusterWatch>;

/** Kinds that every API server has, as they are being followed. `told`: resolves when everything there is was told. */
export type BuiltInWatch = { told: Promise<void>; problems(): string[]; close(): void };

/** Follows such kinds, each as it is served. Who is not let in is told so, and lets itself be asked again. */
export type FollowBuiltIn = (kinds: ReadonlyMap<FollowedKind, ServedKind>, listener: ClusterListener) => BuiltInWatch;
