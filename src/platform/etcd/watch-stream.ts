import { create } from '@bufbuild/protobuf';
import type { StatusObject } from '@grpc/grpc-js';
import type { Clock } from '#model/effects/clock.ts';
import { ETCD } from '#model/settings/etcd.ts';
import { type Event, WatchRequestSchema, type WatchResponse } from '#proto/etcd_pb.js';
import type { EtcdConnection } from './connection.ts';
import { endOf } from './list-keys.ts';
import { WATCH } from './methods.ts';

/** Why a watch ended: its history was forgotten by etcd, so that all is to be read anew; or whatever keeps it from going on. */
export type WatchEnd = { kind: 'compacted' } | { kind: 'broken'; why: string };

/** What a watch tells. */
export type WatchListener = {
  /** The watch stands: from now on nothing is missed. */
  opened(): void;
  /** Changes of one revision or of several, whole, in their order. `revision`: of the last. */
  events(events: readonly Event[], revision: bigint): void;
  /** Once, last. */
  ended(end: WatchEnd): void;
};

/**
 * Follows what lies below a prefix, from a revision on, at the member that is asked now. A member that says nothing, not even when it is
 * asked, ends it. Returns what closes it without a word.
 */
export function openWatch(
  connection: EtcdConnection,
  { prefix, from }: { prefix: string; from: bigint },
  clock: Clock,
  listener: WatchListener,
): () => void {
  const stream = connection.stream(WATCH);
  let pieces: Event[] = [];
  let heardMs = clock.monotonicMs();
  let over = false;
  const finish = (): boolean => {
    if (over) return false;
    over = true;
    stopBeats();
    stream.cancel();
    return true;
  };
  const end = (how: WatchEnd): void => {
    if (finish()) listener.ended(how);
  };
  const stopBeats = clock.every(ETCD.heartbeatMs, () => {
    if (clock.monotonicMs() - heardMs > ETCD.silentMsMax) end({ kind: 'broken', why: 'it says nothing any more' });
    else stream.write(create(WatchRequestSchema, { requestUnion: { case: 'progressRequest', value: {} } }));
  });
  stream.on('data', (response: WatchResponse) => {
    heardMs = clock.monotonicMs();
    if (over) return;
    if (response.canceled)
      return end(response.compactRevision > 0n ? { kind: 'compacted' } : { kind: 'broken', why: response.cancelReason });
    if (response.created) listener.opened();
    pieces.push(...response.events);
    if (pieces.length > ETCD.changesMax) return end({ kind: 'compacted' });
    if (response.fragment || pieces.length === 0) return;
    const events = pieces;
    pieces = [];
    listener.events(events, events.at(-1)?.kv?.modRevision ?? 0n);
  });
  stream.on('error', () => {}); // told by its status
  stream.on('status', ({ details }: StatusObject) => end({ kind: 'broken', why: details || 'it ended the watch' }));
  const request = { key: Buffer.from(prefix), rangeEnd: endOf(prefix), startRevision: from, fragment: true };
  stream.write(create(WatchRequestSchema, { requestUnion: { case: 'createRequest', value: request } }));
  return finish;
}
