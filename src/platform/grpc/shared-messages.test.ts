import assert from 'node:assert/strict';
import test from 'node:test';
import { Client, credentials, Metadata, Server, ServerCredentials, type ServerDuplexStream } from '@grpc/grpc-js';
import { RAW } from './service-definitions.ts';
import { http2StreamOf, messageWriter } from './shared-messages.ts';

const METHOD = { path: '/weft.Test/Stream', requestStream: true, responseStream: true } as const;

/** What a client reads of a stream that `serve` writes to. */
async function read(serve: (call: ServerDuplexStream<Buffer, Buffer>) => void): Promise<Buffer[]> {
  const server = new Server();
  const codec = {
    requestSerialize: RAW.write,
    requestDeserialize: RAW.read,
    responseSerialize: RAW.write,
    responseDeserialize: RAW.read,
  };
  server.addService({ stream: { ...METHOD, ...codec } }, { stream: serve });
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) =>
    error === null ? resolve(port) : reject(error),
  );
  const client = new Client(`127.0.0.1:${await promise}`, credentials.createInsecure());
  try {
    const heard: Buffer[] = [];
    const stream = client.makeBidiStreamRequest(METHOD.path, RAW.write, RAW.read, new Metadata());
    for await (const message of stream) heard.push(message);
    return heard;
  } finally {
    client.close();
    server.forceShutdown();
  }
}

test('a message in parts arrives as one, in order, and the first is told as taken before the next is written', async () => {
  const shared = Buffer.alloc(300_000, 7);
  const heard = await read((call) => {
    assert.notEqual(http2StreamOf(call), null, 'the library keeps its stream elsewhere: messages are copied again');
    const write = messageWriter(call);
    write([Buffer.from('a'), shared, Buffer.from('b')], () => write([shared], () => write([Buffer.alloc(0)], () => call.end())));
  });
  assert.deepEqual(heard, [Buffer.concat([Buffer.from('a'), shared, Buffer.from('b')]), shared, Buffer.alloc(0)]);
});

test('where the stream below is not to be found, parts are joined and go the way of the library', async () => {
  const heard = await read((call) => {
    const hidden = new Proxy(call, { get: (of, name) => (name === 'call' ? null : Reflect.get(of, name).bind(of)) });
    assert.equal(http2StreamOf(hidden), null);
    messageWriter(hidden)([Buffer.from('a'), Buffer.from('b')], () => call.end());
  });
  assert.deepEqual(heard, [Buffer.from('ab')]);
});

test('a write after the end is of no consequence', async () => {
  const heard = await read((call) => {
    const write = messageWriter(call);
    call.end();
    setImmediate(() => write([Buffer.from('late')], () => assert.fail('it was taken')));
  });
  assert.deepEqual(heard, []);
});
