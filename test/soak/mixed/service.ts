import type grpc from '@grpc/grpc-js';

const [serialize, deserialize] = [(bytes: Buffer) => bytes, (bytes: Buffer) => bytes];
const both = {
  ...{ requestSerialize: serialize, requestDeserialize: deserialize },
  ...{ responseSerialize: serialize, responseDeserialize: deserialize },
} as const;
const unary = { requestStream: false, responseStream: false, ...both } as const;

/** `Fail` answers FAILED_PRECONDITION and what it was asked, the other single ones the same bytes, and `Talk` each message as it comes. */
export const MIXED = {
  Echo: { path: '/soak.Mixed/Echo', ...unary },
  Fail: { path: '/soak.Mixed/Fail', ...unary },
  Secret: { path: '/soak.Mixed/Secret', ...unary },
  Broken: { path: '/soak.Mixed/Broken', ...unary },
  Talk: { path: '/soak.Mixed/Talk', requestStream: true, responseStream: true, ...both },
} as const satisfies grpc.ServiceDefinition;
