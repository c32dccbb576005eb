import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import grpc from '@grpc/grpc-js';
import type { Span } from '#model/telemetry/trace.ts';
import {
  type ExportTraceServiceRequest,
  ExportTraceServiceRequestSchema,
  ExportTraceServiceResponseSchema,
} from '#proto/trace_export_pb.js';
import { collectorAt } from './collectors.ts';

const SPAN: Span = {
  context: {
    traceId: '4bf92f3577b34da6a3ce929d0e0e4736',
    spanId: '00f067aa0ba902b7',
    parentSpanId: 'b7ad6b7169203331',
    sampled: true,
  },
  name: 'cart.shop.svc.cluster.local:80/*',
  startMs: 1_700_000_000_000.25,
  endMs: 1_700_000_000_012.5,
  failed: true,
  attributes: { 'http.method': 'GET', 'http.status_code': 503 },
};

/** A collector of grpc-js; what it was told, in order. */
async function aCollector(
  t: TestContext,
  answer: () => MessageInitShape<typeof ExportTraceServiceResponseSchema> | grpc.status,
): Promise<{ port: number; told: ExportTraceServiceRequest[] }> {
  const told: ExportTraceServiceRequest[] = [];
  const server = new grpc.Server();
  const method = {
    ...{ path: '/opentelemetry.proto.collector.trace.v1.TraceService/Export', requestStream: false, responseStream: false },
    requestSerialize: (value: ExportTraceServiceRequest) => Buffer.from(toBinary(ExportTraceServiceRequestSchema, value)),
    requestDeserialize: (bytes: Buffer) => fromBinary(ExportTraceServiceRequestSchema, bytes),
    responseSerialize: (value: Uint8Array) => Buffer.from(value),
    responseDeserialize: (bytes: Buffer) => bytes,
  } as const;
  const Export: grpc.handleUnaryCall<ExportTraceServiceRequest, Uint8Array> = ({ request }, done) => {
    told.push(request);
    const said = answer();
    if (typeof said === 'number') done({ code: said, details: 'no' });
    else done(null, toBinary(ExportTraceServiceResponseSchema, create(ExportTraceServiceResponseSchema, said)));
  };
  server.addService({ Export: method }, { Export });
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  );
  t.after(() => server.forceShutdown());
  return { port, told };
}

test('a collector that is asked by gRPC gets spans as OpenTelemetry defines them', async (t) => {
  const { port, told } = await aCollector(t, () => ({}));
  const collector = collectorAt(`grpc://127.0.0.1:${port}`, { resource: { 'service.name': 'waypoint.shop' }, version: '1.2' });
  assert.deepEqual(await collector.send([SPAN]), { kind: 'taken', rejected: 0 });
  const [resource] = told[0]?.resourceSpans ?? [];
  assert.deepEqual(
    resource?.resource?.attributes.map(({ key, value }) => [key, value?.value.value]),
    [['service.name', 'waypoint.shop']],
  );
  const [
    {
      scope,
      spans: [span],
    } = assert.fail(),
  ] = resource?.scopeSpans ?? [];
  assert.deepEqual([scope?.name, scope?.version], ['weft', '1.2']);
  const { traceId, spanId, parentSpanId } = SPAN.context;
  assert.deepEqual(
    [span?.traceId, span?.spanId, span?.parentSpanId].map((id) => Buffer.from(id ?? []).toString('hex')),
    [traceId, spanId, parentSpanId],
  );
  assert.deepEqual([span?.name, span?.kind, span?.status?.code], [SPAN.name, 2, 2]);
  assert.deepEqual([span?.startTimeUnixNano, span?.endTimeUnixNano], [1_700_000_000_000_250_000n, 1_700_000_000_012_500_000n]);
  assert.deepEqual(
    span?.attributes.map(({ key, value }) => [key, value?.value.value]),
    [
      ['http.method', 'GET'],
      ['http.status_code', 503n],
    ],
  );
});

const ANSWERS: { name: string; answer: Parameters<typeof aCollector>[1]; fate: object }[] = [
  {
    name: 'has left out some',
    answer: () => ({ partialSuccess: { rejectedSpans: 2n, errorMessage: 'too old' } }),
    fate: { kind: 'taken', rejected: 2 },
  },
  { name: 'is busy', answer: () => grpc.status.UNAVAILABLE, fate: { kind: 'again', why: 'grpc-status 14: no' } },
  { name: 'wants none of them', answer: () => grpc.status.INVALID_ARGUMENT, fate: { kind: 'refused', why: 'grpc-status 3: no' } },
];
for (const { name, answer, fate } of ANSWERS) {
  test(`a collector that ${name} is understood by gRPC`, async (t) => {
    const { port } = await aCollector(t, answer);
    assert.deepEqual(await collectorAt(`grpc://127.0.0.1:${port}`, { resource: {}, version: '1' }).send([SPAN]), fate);
  });
}

test('where nobody listens spans may be sent again', async () => {
  const { kind } = await collectorAt('grpc://127.0.0.1:1', { resource: {}, version: '1' }).send([SPAN]);
  assert.equal(kind, 'again');
});
