import { create } from '@bufbuild/protobuf';
import type { Clock } from '#model/effects/clock.ts';
import { ETCD } from '#model/settings/etcd.ts';
import {
  LeaseGrantRequestSchema,
  LeaseKeepAliveRequestSchema,
  type LeaseKeepAliveResponse,
  LeaseRevokeRequestSchema,
} from '#proto/etcd_pb.js';
import { type EtcdConnection, etcdError } from './connection.ts';
import { LEASE_GRANT, LEASE_KEEP_ALIVE, LEASE_REVOKE } from './methods.ts';

/** A new lease: what is written on it goes when it was not kept alive for `ttlMs`, in whole seconds. Errors: WEFT_ETCD. */
export async function grantLease(connection: EtcdConnection, ttlMs: number): Promise<bigint> {
  const { ID, error } = await connection.call(
    LEASE_GRANT,
    create(LeaseGrantRequestSchema, { TTL: BigInt(Math.ceil(ttlMs / 1_000)) }),
  );
  if (ID === 0n) throw etcdError(connection.member, new Error(error || 'it granted no lease'));
  return ID;
}

/** Lets a lease live on for its whole time from now; each member is asked once. False: it has ended. Errors: WEFT_ETCD when none answers. */
export async function keepAlive(connection: EtcdConnection, lease: bigint, clock: Clock): Promise<boolean> {
  for (let left = connection.count; ; left--) {
    const { member } = connection;
    try {
      return await keepAliveAt(connection, lease, clock);
    } catch (error) {
      connection.moveOn(member);
      if (left <= 1) throw etcdError(member, error);
    }
  }
}

function keepAliveAt(connection: EtcdConnection, lease: bigint, clock: Clock): Promise<boolean> {
  const stream = connection.stream(LEASE_KEEP_ALIVE);
  return new Promise((resolve, reject) => {
    const stop = clock.after(ETCD.keepAliveMs, () => {
      reject(new Error('it does not answer'));
      stream.cancel();
    });
    stream.on('data', ({ TTL }: LeaseKeepAliveResponse) => {
      resolve(TTL > 0n);
      stop();
      stream.cancel();
    });
    stream.on('error', (error) => {
      stop();
      reject(error); // after an answer this is our own cancel, and nobody hears it
    });
    stream.write(create(LeaseKeepAliveRequestSchema, { ID: lease }));
  });
}

/** Ends a lease, and with it what is on it. Errors: WEFT_ETCD. */
export async function revokeLease(connection: EtcdConnection, lease: bigint): Promise<void> {
  await connection.call(LEASE_REVOKE, create(LeaseRevokeRequestSchema, { ID: lease }));
}
