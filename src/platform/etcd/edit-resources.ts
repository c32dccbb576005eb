import { create } from '@bufbuild/protobuf';
import { messageOf, WeftError } from '#model/error.ts';
import { ETCD } from '#model/settings/etcd.ts';
import { RangeRequestSchema } from '#proto/etcd_pb.js';
import type { EtcdConnection } from './connection.ts';
import { textOf } from './list-keys.ts';
import { RANGE } from './methods.ts';
import { commit, deleteOp, madeAt, putOp, says } from './txn.ts';
import type { ResourceWatch } from './watch-resources.ts';

/** How resources are written where `watch` reads them: a key is a file. */
export type EtcdEdit = {
  directory: string;
  /** What the key of a new resource is made of: kind, namespace, name. */
  pathOf(words: readonly string[]): string;
  /** Errors: WEFT_RESOURCE_WRITE. */
  read(path: string): Promise<string | null>;
  /** Errors: WEFT_RESOURCE_WRITE, also when the key says something else than `before` by now. */
  replace(path: string, before: string | null, text: string | null): Promise<void>;
  /** Resolves when all that was written before has been read. Errors: WEFT_RESOURCE_WRITE when that takes too long. */
  look(path: string): Promise<void>;
};

/** Writes below `prefix`, which ends in a slash; any replica may, as the resources are not its own. `watch`: null before it begins. */
export function editResources(connection: EtcdConnection, prefix: string, watch: () => ResourceWatch | null): EtcdEdit {
  let written = 0n;
  return {
    directory: '',
    pathOf: (words) => words.join('/'),
    async read(path) {
      const { kvs } = await connection
        .call(RANGE, create(RangeRequestSchema, { key: Buffer.from(`${prefix}${path}`) }))
        .catch((cause: unknown): never => notWritten(path, cause));
      const [found] = kvs;
      return found === undefined ? null : textOf(found);
    },
    async replace(path, before, text) {
      const key = `${prefix}${path}`;
      if (text !== null && Buffer.byteLength(text) > ETCD.valueBytesMax) notWritten(path, new Error('it is too large for a key'));
      const unchanged = before === null ? madeAt(key, 0n) : says(key, before);
      const op = text === null ? deleteOp(key) : putOp(key, text);
      const { done, revision } = await commit(connection, [unchanged], [op]).catch((cause: unknown): never =>
        notWritten(path, cause),
      );
      // Of a call whose answer was lost it may be our own change.
      if (!done && (await this.read(path)) !== text)
        throw new WeftError('WEFT_RESOURCE_WRITE', `${path} was changed by somebody else at the same moment`, {
          remedy: 'run the same command again',
        });
      written = revision;
    },
    async look(path) {
      if ((await watch()?.reached(written, ETCD.readBackMsMax)) === false)
        notWritten(path, new Error('it is written, but etcd has not told of it yet'));
    },
  };
}

function notWritten(path: string, cause: unknown): never {
  throw new WeftError('WEFT_RESOURCE_WRITE', `cannot change ${path}: ${messageOf(cause)}`, {
    cause,
    remedy: 'see that most members of etcd run and have room; what the resource said stays in force',
  });
}
