// A client of gRPC-Web in a namespace of its own: the cases of gRPC's interoperability tests that a browser could run, over both
// versions of HTTP. Prints those that failed. Usage: grpc-web-client.ts ADDRESS
import assert from 'node:assert/strict';
import http from 'node:http';
import { create, createFileRegistry, type DescService, type Message } from '@bufbuild/protobuf';
import { FieldDescriptorProto_Label, FieldDescriptorProto_Type, FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import { Code, ConnectError, createClient, type Transport } from '@connectrpc/connect';
import { createGrpcWebTransport } from '@connectrpc/connect-node';

const { INT32, BYTES, MESSAGE, STRING } = FieldDescriptorProto_Type;
type Field = [name: string, number: number, type: FieldDescriptorProto_Type, of?: string, repeated?: true];

/** What of grpc/testing/messages.proto is asked here. Fixed by gRPC's interoperability tests. */
const MESSAGES: Record<string, Field[]> = {
  Empty: [],
  Payload: [['body', 2, BYTES]],
  EchoStatus: [
    ['code', 1, INT32],
    ['message', 2, STRING],
  ],
  SimpleRequest: [
    ['response_size', 2, INT32],
    ['payload', 3, MESSAGE, 'Payload'],
    ['response_status', 7, MESSAGE, 'EchoStatus'],
  ],
  SimpleResponse: [['payload', 1, MESSAGE, 'Payload']],
  ResponseParameters: [
    ['size', 1, INT32],
    ['interval_us', 2, INT32],
  ],
  StreamingOutputCallRequest: [['response_parameters', 2, MESSAGE, 'ResponseParameters', true]],
  StreamingOutputCallResponse: [['payload', 1, MESSAGE, 'Payload']],
};

function testService(): DescService {
  const file = create(FileDescriptorProtoSchema, {
    name: 'grpc/testing/test.proto',
    package: 'grpc.testing',
    syntax: 'proto3',
    messageType: Object.entries(MESSAGES).map(([name, fields]) => ({
      name,
      field: fields.map(([field, number, type, of, repeated]) => ({
        ...{ name: field, number, type, jsonName: field },
        label: repeated ? FieldDescriptorProto_Label.REPEATED : FieldDescriptorProto_Label.OPTIONAL,
        ...(of !== undefined && { typeName: `.grpc.testing.${of}` }),
      })),
    })),
    service: [
      {
        name: 'TestService',
        method: [
          { name: 'EmptyCall', inputType: '.grpc.testing.Empty', outputType: '.grpc.testing.Empty' },
          { name: 'UnaryCall', inputType: '.grpc.testing.SimpleRequest', outputType: '.grpc.testing.SimpleResponse' },
          { name: 'UnimplementedCall', inputType: '.grpc.testing.Empty', outputType: '.grpc.testing.Empty' },
          {
            ...{ name: 'StreamingOutputCall', inputType: '.grpc.testing.StreamingOutputCallRequest', serverStreaming: true },
            outputType: '.grpc.testing.StreamingOutputCallResponse',
          },
        ],
      },
    ],
  });
  return createFileRegistry(file, () => undefined).getService('grpc.testing.TestService') ?? assert.fail('no service');
}

type Payload = Message & { payload?: { body: Uint8Array } };
type Options = {
  headers?: Record<string, string>;
  timeoutMs?: number;
  onHeader?(headers: Headers): void;
  onTrailer?(headers: Headers): void;
};
type Client = {
  emptyCall(request: object, options?: Options): Promise<Message>;
  unimplementedCall(request: object): Promise<Message>;
  unaryCall(request: object, options?: Options): Promise<Payload>;
  streamingOutputCall(request: object, options?: Options): AsyncIterable<Payload>;
};

const SIZES = [31_415, 9, 2_653, 58_979];
const streamOf = (intervalUs = 0) => ({ responseParameters: SIZES.map((size) => ({ size, intervalUs })) });
const isCode = (code: Code, message: string | RegExp) => (error: unknown) => {
  assert.ok(error instanceof ConnectError);
  assert.equal(error.code, code);
  assert.match(error.rawMessage, typeof message === 'string' ? new RegExp(`^${message}$`) : message);
  return true;
};

const CASES: Record<string, (client: Client) => Promise<void>> = {
  async empty_unary(client) {
    await client.emptyCall({});
  },
  async large_unary(client) {
    const { payload } = await client.unaryCall({ responseSize: 314_159, payload: { body: new Uint8Array(271_828) } });
    assert.equal(payload?.body.length, 314_159);
  },
  async server_streaming(client) {
    const sizes: number[] = [];
    for await (const { payload } of client.streamingOutputCall(streamOf())) sizes.push(payload?.body.length ?? 0);
    assert.deepEqual(sizes, SIZES);
  },
  async custom_metadata(client) {
    let head = new Headers();
    let trailers = new Headers();
    await client.unaryCall(
      { responseSize: 1 },
      {
        headers: { 'x-grpc-test-echo-initial': 'test_initial_metadata_value', 'x-grpc-test-echo-trailing-bin': 'q6ur' },
        onHeader(headers) {
          head = headers;
        },
        onTrailer(headers) {
          trailers = headers;
        },
      },
    );
    assert.equal(head.get('x-grpc-test-echo-initial'), 'test_initial_metadata_value');
    assert.equal(trailers.get('x-grpc-test-echo-trailing-bin'), 'q6ur');
  },
  async status_code_and_message(client) {
    await assert.rejects(
      client.unaryCall({ responseStatus: { code: 2, message: 'test status message' } }),
      isCode(Code.Unknown, 'test status message'),
    );
  },
  async special_status_message(client) {
    const message = '\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n';
    await assert.rejects(client.unaryCall({ responseStatus: { code: 2, message } }), (error) => {
      assert.ok(error instanceof ConnectError);
      assert.equal(error.rawMessage, message);
      return true;
    });
  },
  async unimplemented_method(client) {
    await assert.rejects(client.unimplementedCall({}), isCode(Code.Unimplemented, /./));
  },
  async timeout_on_sleeping_server(client) {
    const calls = client.streamingOutputCall(streamOf(2_000_000), { timeoutMs: 200 });
    await assert.rejects(
      async () => {
        for await (const _ of calls);
      },
      isCode(Code.DeadlineExceeded, /./),
    );
  },
};

/** As a browser has it that cannot read bytes as they come: all of it is text. */
async function asText(host: string): Promise<void> {
  // An empty message, cut where text can be cut worst.
  const body = Buffer.from([0, 0, 0, 0, 0]).toString('base64');
  const headers = { 'content-type': 'application/grpc-web-text', accept: 'application/grpc-web-text', 'x-grpc-web': '1' };
  const answer = await new Promise<{ type: string | undefined; text: string }>((resolve, reject) => {
    const request = http.request({ host, path: '/grpc.testing.TestService/EmptyCall', method: 'POST', headers }, (response) => {
      let text = '';
      response.setEncoding('latin1').on('data', (piece) => {
        text += piece;
      });
      response.on('end', () => resolve({ type: response.headers['content-type'], text }));
    });
    request.on('error', reject);
    request.write(body.slice(0, 3));
    setImmediate(() => request.end(body.slice(3)));
  });
  assert.equal(answer.type, 'application/grpc-web-text');
  const bytes = Buffer.concat((answer.text.match(/[^=]+=*/g) ?? []).map((part) => Buffer.from(part, 'base64')));
  assert.deepEqual(bytes.subarray(0, 5), Buffer.from([0, 0, 0, 0, 0]));
  assert.equal(bytes[5], 0x80);
  assert.match(bytes.subarray(10).toString(), /(^|\r\n)grpc-status: ?0\r\n/);
}

const [, , host = ''] = process.argv;
const service = testService();
const failed: string[] = [];
const run = async (name: string, body: () => Promise<void>): Promise<void> => {
  try {
    await body();
  } catch (error) {
    failed.push(`${name}: ${error instanceof Error ? error.stack : String(error)}`);
  }
};
for (const httpVersion of ['1.1', '2'] as const) {
  const transport: Transport = createGrpcWebTransport({ baseUrl: `http://${host}`, httpVersion });
  const client = createClient(service, transport) as unknown as Client;
  for (const [name, body] of Object.entries(CASES)) await run(`${name} over HTTP/${httpVersion}`, () => body(client));
}
await run('text', () => asText(host));
console.log(JSON.stringify(failed));
process.exit(0);
