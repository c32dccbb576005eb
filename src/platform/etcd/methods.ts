import { codecOf } from '#platform/grpc/service-definitions.ts';
import {
  LeaseGrantRequestSchema,
  LeaseGrantResponseSchema,
  LeaseKeepAliveRequestSchema,
  LeaseKeepAliveResponseSchema,
  LeaseRevokeRequestSchema,
  LeaseRevokeResponseSchema,
  RangeRequestSchema,
  RangeResponseSchema,
  TxnRequestSchema,
  TxnResponseSchema,
  WatchRequestSchema,
  WatchResponseSchema,
} from '#proto/etcd_pb.js';

/** Reads keys. */
export const RANGE = {
  path: '/etcdserverpb.KV/Range',
  request: codecOf(RangeRequestSchema),
  response: codecOf(RangeResponseSchema),
} as const;

/** Compares, and writes what depends on that. */
export const TXN = {
  path: '/etcdserverpb.KV/Txn',
  request: codecOf(TxnRequestSchema),
  response: codecOf(TxnResponseSchema),
} as const;

/** Follows keys: a stream. */
export const WATCH = {
  path: '/etcdserverpb.Watch/Watch',
  request: codecOf(WatchRequestSchema),
  response: codecOf(WatchResponseSchema),
} as const;

/** Makes a lease. */
export const LEASE_GRANT = {
  path: '/etcdserverpb.Lease/LeaseGrant',
  request: codecOf(LeaseGrantRequestSchema),
  response: codecOf(LeaseGrantResponseSchema),
} as const;

/** Ends a lease, and with it every key on it. */
export const LEASE_REVOKE = {
  path: '/etcdserverpb.Lease/LeaseRevoke',
  request: codecOf(LeaseRevokeRequestSchema),
  response: codecOf(LeaseRevokeResponseSchema),
} as const;

/** Lets leases live on: a stream. */
export const LEASE_KEEP_ALIVE = {
  path: '/etcdserverpb.Lease/LeaseKeepAlive',
  request: codecOf(LeaseKeepAliveRequestSchema),
  response: codecOf(LeaseKeepAliveResponseSchema),
} as const;
