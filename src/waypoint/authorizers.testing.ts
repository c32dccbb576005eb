import type { TestContext } from 'node:test';
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import grpc from '@grpc/grpc-js';
import type { ExternalAuthorizer } from '#model/waypoint/authorizer.ts';
import type { L7Operation, L7Policy } from '#model/waypoint/config.ts';
import { type CheckRequest, CheckRequestSchema, CheckResponseSchema } from '#proto/external_authorization_pb.js';

const HTTP: NonNullable<ExternalAuthorizer['http']> = {
  ...{ pathPrefix: '', sentHeaders: [], addedHeaders: [], toUpstream: [], toClientOnDeny: [], toClientOnAllow: [] },
};

/** One in the service `authz`, asked by HTTP unless `change` says null. */
export function authorizer(
  change: Partial<Omit<ExternalAuthorizer, 'http'>> = {},
  http: Partial<typeof HTTP> | null = {},
): ExternalAuthorizer {
  return {
    ...{ name: 'authz', port: 80, timeoutMs: null, failOpen: false, statusOnError: 403, body: null },
    service: `shop/${change.name ?? 'authz'}.shop.svc.cluster.local`,
    ...change,
    http: http === null ? null : { ...HTTP, ...http },
  };
}

const OPERATION: L7Operation = {
  ...{ hosts: [], notHosts: [], ports: [], notPorts: [], methods: [], notMethods: [], paths: [], notPaths: [] },
};

/** A policy that has this authorizer asked about some paths. */
export function custom(paths: string[], name = 'authz', change: Partial<L7Policy> = {}): L7Policy {
  const rules = [{ from: [], to: [{ ...OPERATION, paths }], when: [] }];
  return { namespace: 'shop', name: `ask-${name}`, action: 'custom', authorizer: name, dryRun: false, rules, ...change };
}

/** An authorizer of grpc-js; what it was asked, in order. */
export async function startGrpcAuthorizer(
  t: TestContext,
  answer: (request: CheckRequest) => MessageInitShape<typeof CheckResponseSchema> | grpc.status,
): Promise<{ port: number; asked: CheckRequest[] }> {
  const asked: CheckRequest[] = [];
  const server = new grpc.Server();
  const check = {
    ...{ path: '/envoy.service.auth.v3.Authorization/Check', requestStream: false, responseStream: false },
    requestSerialize: (value: CheckRequest) => Buffer.from(toBinary(CheckRequestSchema, value)),
    requestDeserialize: (bytes: Buffer) => fromBinary(CheckRequestSchema, bytes),
    responseSerialize: (value: Uint8Array) => Buffer.from(value),
    responseDeserialize: (bytes: Buffer) => bytes,
  } as const;
  const Check: grpc.handleUnaryCall<CheckRequest, Uint8Array> = ({ request }, done) => {
    asked.push(request);
    const said = answer(request);
    if (typeof said === 'number') done({ code: said, details: 'no' });
    else done(null, toBinary(CheckResponseSchema, create(CheckResponseSchema, said)));
  };
  server.addService({ Check: check }, { Check });
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  );
  t.after(() => server.forceShutdown());
  return { port, asked };
}
