import { type DescMessage, fromBinary, type MessageShape, toBinary } from '@bufbuild/protobuf';
import { logVerbosity, type MethodDefinition, setLogVerbosity } from '@grpc/grpc-js';
import { IstioCertificateRequestSchema, IstioCertificateResponseSchema } from '#proto/ca_pb.js';
import { DeltaDiscoveryRequestSchema, type DeltaDiscoveryResponse, DeltaDiscoveryResponseSchema } from '#proto/discovery_pb.js';
import { SyncWorkloadsRequestSchema, SyncWorkloadsResponseSchema } from '#proto/weft_pb.js';

// The library would print to standard error what we report as errors and in our own log.
setLogVerbosity(logVerbosity.NONE);

/** Messages of one RPC on either side. */
export type Codec<Message> = { write(message: Message): Buffer; read(bytes: Buffer): Message };

/** Serializes with the generated schema. */
export function codecOf<Desc extends DescMessage>(schema: Desc): Codec<MessageShape<Desc>> {
  return { write: (message) => Buffer.from(toBinary(schema, message)), read: (bytes) => fromBinary(schema, bytes) };
}

/** Delta discovery as a client speaks it. */
export const DELTA_STREAM = {
  path: '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources',
  request: codecOf(DeltaDiscoveryRequestSchema),
  response: codecOf<typeof DeltaDiscoveryResponseSchema>(DeltaDiscoveryResponseSchema) satisfies Codec<DeltaDiscoveryResponse>,
} as const;

/** Istio's certificate authority API. */
export const CREATE_CERTIFICATE = {
  path: '/istio.v1.auth.IstioCertificateService/CreateCertificate',
  request: codecOf(IstioCertificateRequestSchema),
  response: codecOf(IstioCertificateResponseSchema),
} as const;

/** Registration of what a node runs. */
export const SYNC_WORKLOADS = {
  path: '/weft.v1.NodeRegistry/SyncWorkloads',
  request: codecOf(SyncWorkloadsRequestSchema),
  response: codecOf(SyncWorkloadsResponseSchema),
} as const;

/** Responses that are bytes already. */
export const RAW: Codec<Buffer> = { write: (message) => message, read: (bytes) => bytes };

/** A method as the gRPC library wants it. */
export function methodOf<Request, Response>(
  { path, request, response }: { path: string; request: Codec<Request>; response: Codec<Response> },
  streaming: boolean,
): MethodDefinition<Request, Response> {
  return {
    path,
    requestStream: streaming,
    responseStream: streaming,
    requestSerialize: request.write,
    requestDeserialize: request.read,
    responseSerialize: response.write,
    responseDeserialize: response.read,
  };
}
