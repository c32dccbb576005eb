import type { Clock } from '#model/effects/clock.ts';
import { messageOf } from '#model/error.ts';
import type { EtcdConnection } from './connection.ts';
import { followPrefix } from './follow-prefix.ts';

/** Where documents of configuration are told. */
type Listener = {
  /** Texts by key below the prefix, null of one that is gone: everything first. */
  onFiles(changed: ReadonlyMap<string, string | null>): void;
  onProblem(problem: Error): void;
  /** What is wrong as of now, a sentence each. */
  onStanding?(problems: readonly string[], ignored: readonly string[]): void;
};

/** A watch that goes on. */
export type ResourceWatch = {
  /** Resolves to true once everything until this revision has been told, to false after `withinMs`. */
  reached(revision: bigint, withinMs: number): Promise<boolean>;
  close(): void;
};

/**
 * Follows resources in etcd: each key below the prefix (`<kind>/<namespace>/<name>`, or any other) holds a document of YAML or JSON, and is to its
 * readers what a file is in a directory. Resolves once everything was told. Errors: WEFT_ETCD.
 */
export async function watchResources(
  connection: EtcdConnection,
  prefix: string,
  clock: Clock,
  { onFiles, onProblem, onStanding }: Listener,
): Promise<ResourceWatch> {
  const waiting = new Set<() => void>();
  const follower = await followPrefix(connection, prefix, clock, {
    changed(changes) {
      onFiles(changes);
      for (const look of [...waiting]) look();
    },
    trouble(problem) {
      onStanding?.(problem === null ? [] : [messageOf(problem)], []);
      if (problem !== null) onProblem(problem);
    },
  });
  const reached = (revision: bigint, withinMs: number) =>
    new Promise<boolean>((resolve) => {
      const end = (isThere: boolean): void => {
        waiting.delete(look);
        stop();
        resolve(isThere);
      };
      const look = (): void => {
        if (follower.revision() >= revision) end(true);
      };
      const stop = clock.after(withinMs, () => end(false));
      waiting.add(look);
      look();
    });
  return { reached, close: () => follower.close() };
}
