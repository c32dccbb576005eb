import type { ServiceDefinition } from '@grpc/grpc-js';

const TEXT = {
  requestSerialize: (text: string) => Buffer.from(text),
  requestDeserialize: String,
  responseSerialize: (text: string) => Buffer.from(text),
  responseDeserialize: String,
};

/** What servers that are killed serve: an answer, and three. A request is the id of its call. */
export const KILLED_SERVICE = {
  say: { ...TEXT, path: '/weft.Killed/Say', requestStream: false, responseStream: false },
  tell: { ...TEXT, path: '/weft.Killed/Tell', requestStream: false, responseStream: true },
} satisfies ServiceDefinition;
