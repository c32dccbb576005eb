import { create, type MessageInitShape } from '@bufbuild/protobuf';
import {
  Compare_CompareResult,
  Compare_CompareTarget,
  type CompareSchema,
  type RequestOpSchema,
  TxnRequestSchema,
} from '#proto/etcd_pb.js';
import type { EtcdConnection } from './connection.ts';
import { TXN } from './methods.ts';

type Op = MessageInitShape<typeof RequestOpSchema>;
type Condition = MessageInitShape<typeof CompareSchema>;

/** Fixed by etcd: what one transaction may hold where nobody says otherwise (`--max-txn-ops`). */
export const TXN_OPS_MAX = 128;

/** Writes a key; with a lease it goes when that ends. */
export function putOp(key: string, value: string | Buffer, lease = 0n): Op {
  const bytes = typeof value === 'string' ? Buffer.from(value) : value;
  return { request: { case: 'requestPut', value: { key: Buffer.from(key), value: bytes, lease } } };
}

/** Removes a key, if it is there. */
export function deleteOp(key: string): Op {
  return { request: { case: 'requestDeleteRange', value: { key: Buffer.from(key) } } };
}

/** That a key is the very one that was made at this revision; 0n: that there is none. */
export function madeAt(key: string, createRevision: bigint): Condition {
  return {
    result: Compare_CompareResult.EQUAL,
    target: Compare_CompareTarget.CREATE,
    key: Buffer.from(key),
    targetUnion: { case: 'createRevision', value: createRevision },
  };
}

/** That a key holds this text, as it is written when it is not pressed. */
export function says(key: string, text: string): Condition {
  return {
    result: Compare_CompareResult.EQUAL,
    target: Compare_CompareTarget.VALUE,
    key: Buffer.from(key),
    targetUnion: { case: 'value', value: Buffer.from(text) },
  };
}

/**
 * Does all of `ops` if all of `conditions` hold, else nothing. Returns whether it was done, and the revision of etcd after it. To be done again
 * when a member did not answer, so it must come to the same. Errors: WEFT_ETCD.
 */
export async function commit(
  connection: EtcdConnection,
  conditions: readonly Condition[],
  ops: readonly Op[],
): Promise<{ done: boolean; revision: bigint }> {
  const request = create(TxnRequestSchema, { compare: [...conditions], success: [...ops] });
  const { succeeded, header } = await connection.call(TXN, request);
  return { done: succeeded, revision: header?.revision ?? 0n };
}
