import type { TestContext } from 'node:test';
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import grpc from '@grpc/grpc-js';
import {
  RateLimitResponse_Code as Code,
  type RateLimitRequest,
  RateLimitRequestSchema,
  RateLimitResponseSchema,
} from '#proto/rate_limit_pb.js';

/** What a server answers: a response, bytes of whatever kind, a status of gRPC, or (null) nothing. */
export type LimitReply = MessageInitShape<typeof RateLimitResponseSchema> | Buffer | grpc.status | null;

/** A rate limit service of grpc-js. */
export type LimitServer = {
  port: number;
  /** The questions about requests, in order; whether it limits at all is asked with more than one hit. */
  readonly asked: RateLimitRequest[];
  /** Likewise of those whether it limits. */
  readonly probes: RateLimitRequest[];
  /** Questions that were taken back, or were late. */
  withdrawn(): number;
  /** Sessions of HTTP/2 that were opened. */
  connections(): number;
  stop(): void;
};

/** As a server that counts: each descriptor has a limit, and something left unless it is one of `over`. */
export function counted(request: RateLimitRequest, over: readonly number[] = []) {
  const statuses = request.descriptors.map(({ limit }, at) => ({
    code: over.includes(at) ? Code.OVER_LIMIT : Code.OK,
    currentLimit: { requestsPerUnit: limit?.requestsPerUnit ?? 0, unit: limit?.unit ?? 0 },
    limitRemaining: over.includes(at) ? 0 : 3,
    durationUntilReset: { seconds: 7n, nanos: 0 },
  }));
  return { overallCode: over.length > 0 ? Code.OVER_LIMIT : Code.OK, statuses };
}

/** Starts one; `port` 0: any free one. */
export async function startLimitServer(
  t: TestContext,
  answer: (request: RateLimitRequest) => LimitReply,
  {
    port = 0,
    probe = (request) => counted(request, [0]),
  }: { port?: number; probe?: (request: RateLimitRequest) => LimitReply } = {},
): Promise<LimitServer> {
  const asked: RateLimitRequest[] = [];
  const probes: RateLimitRequest[] = [];
  const withdrawn = new Set<unknown>();
  const peers = new Set<string>();
  const server = new grpc.Server();
  const method = {
    ...{ path: '/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit', requestStream: false, responseStream: false },
    requestSerialize: (value: RateLimitRequest) => Buffer.from(toBinary(RateLimitRequestSchema, value)),
    requestDeserialize: (bytes: Buffer) => fromBinary(RateLimitRequestSchema, bytes),
    responseSerialize: (value: Uint8Array) => Buffer.from(value),
    responseDeserialize: (bytes: Buffer) => bytes,
  } as const;
  const ShouldRateLimit: grpc.handleUnaryCall<RateLimitRequest, Uint8Array> = (call, done) => {
    const { request } = call;
    peers.add(call.getPeer());
    const isProbe = request.hitsAddend > 1;
    (isProbe ? probes : asked).push(request);
    const said = isProbe ? probe(request) : answer(request);
    // Also told of calls that were answered, and more than once.
    if (said === null) call.on('cancelled', () => withdrawn.add(call));
    if (said === null) return;
    if (typeof said === 'number') done({ code: said, details: 'no' });
    else done(null, Buffer.isBuffer(said) ? said : toBinary(RateLimitResponseSchema, create(RateLimitResponseSchema, said)));
  };
  server.addService({ ShouldRateLimit: method }, { ShouldRateLimit });
  const bound = await new Promise<number>((resolve, reject) =>
    server.bindAsync(`127.0.0.1:${port}`, grpc.ServerCredentials.createInsecure(), (error, found) =>
      error === null ? resolve(found) : reject(error),
    ),
  );
  const stop = (): void => server.forceShutdown();
  t.after(stop);
  return { port: bound, asked, probes, withdrawn: () => withdrawn.size, connections: () => peers.size, stop };
}
