import type grpc from '@grpc/grpc-js';

const [serialize, deserialize] = [(bytes: Buffer) => bytes, (bytes: Buffer) => bytes];
const one = { requestSerialize: serialize, requestDeserialize: deserialize } as const;
const both = { ...one, responseSerialize: serialize, responseDeserialize: deserialize, requestStream: false } as const;

/** `repeat` gives back the metadata that came; `flow` never ends, and goes as fast as it is read. Bytes both ways. */
export const THROUGH_SERVICE = {
  repeat: { path: '/faults.Through/Repeat', responseStream: false, ...both },
  flow: { path: '/faults.Through/Flow', responseStream: true, ...both },
} as const satisfies grpc.ServiceDefinition;
