import { gzipSync } from 'node:zlib';
import { create } from '@bufbuild/protobuf';
import { notLeader } from '#model/effects/replica.ts';
import type { StateStore } from '#model/effects/state-store.ts';
import { WeftError } from '#model/error.ts';
import { ETCD } from '#model/settings/etcd.ts';
import { RangeRequestSchema } from '#proto/etcd_pb.js';
import type { EtcdConnection } from './connection.ts';
import { listKeys, textOf } from './list-keys.ts';
import { RANGE } from './methods.ts';
import { commit, deleteOp, madeAt, putOp } from './txn.ts';

/** By what a leader is known: the key that it made, and the revision at which it did. */
export type Leadership = { key: string; madeAt: bigint };

/**
 * The control planes' state as keys below `prefix`. Whoever leads writes, and each write asks etcd whether it still does: one that was taken for
 * dead and is not cannot write any more. Errors of the writes: WEFT_NOT_LEADER beside WEFT_ETCD.
 */
export function etcdState(
  connection: EtcdConnection,
  prefix: string,
  { leadership, leader }: { leadership: () => Leadership | null; leader: () => string | null },
): StateStore {
  const write = async (op: Parameters<typeof commit>[2][number]): Promise<void> => {
    const now = leadership();
    if (now === null) throw notLeader(leader());
    const { done } = await commit(connection, [madeAt(now.key, now.madeAt)], [op]);
    if (!done) throw notLeader(leader());
  };
  return {
    async read(name) {
      const { kvs } = await connection.call(RANGE, create(RangeRequestSchema, { key: Buffer.from(`${prefix}${name}`) }));
      const [found] = kvs;
      return found === undefined ? null : textOf(found);
    },
    // Who may read etcd may read all of it: secrets are guarded by etcd's own users and certificates.
    write: (name, text) => write(putOp(`${prefix}${name}`, packed(name, text))),
    remove: (name) => write(deleteOp(`${prefix}${name}`)),
    async list(start) {
      const { entries } = await listKeys(connection, `${prefix}${start}`);
      return [...entries.keys()].map((rest) => `${start}${rest}`).sort();
    },
  };
}

/** What is large is pressed: etcd takes 1.5 MiB in one request. Errors: WEFT_ETCD_SIZE. */
function packed(name: string, text: string): string | Buffer {
  if (text.length <= ETCD.plainCharactersMax) return text;
  const bytes = gzipSync(text);
  if (bytes.length <= ETCD.valueBytesMax) return bytes;
  throw new WeftError('WEFT_ETCD_SIZE', `${name} does not fit into etcd: it has ${bytes.length} bytes, pressed`, {
    remedy: 'run fewer workloads on that node, or give services addresses of their own',
  });
}
