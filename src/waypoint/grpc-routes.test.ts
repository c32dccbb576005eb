import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import grpc from '@grpc/grpc-js';
import type { HttpRouteMatch } from '#model/waypoint/config.ts';
import { rule, startRig, to } from '#waypoint/waypoint-rig.testing.ts';

const pass = { serialize: (value: Buffer) => value, deserialize: (value: Buffer) => value };

/** A server of grpc-js that answers every call with its own name. */
async function startServer(t: TestContext, name: string): Promise<number> {
  const server = new grpc.Server();
  const method = (path: string) => ({
    path,
    requestStream: false,
    responseStream: false,
    requestSerialize: pass.serialize,
    requestDeserialize: pass.deserialize,
    responseSerialize: pass.serialize,
    responseDeserialize: pass.deserialize,
  });
  const answer: grpc.handleUnaryCall<Buffer, Buffer> = (_call, done) => done(null, Buffer.from(name));
  server.addService({ Get: method('/shop.Cart/Get'), Put: method('/shop.Cart/Put') }, { Get: answer, Put: answer });
  server.addService({ Get: method('/shop.CartAdmin/Get') }, { Get: answer });
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  );
  t.after(() => server.forceShutdown());
  return port;
}

const match = (type: 'exact' | 'regex', service: string | null, method: string | null): Partial<HttpRouteMatch> => ({
  grpc: { type, service, method },
});

test('config-api 1.13: calls of grpc-js go where service, method and headers say; others are UNIMPLEMENTED or UNAVAILABLE', async (t) => {
  const routes = [
    rule(match('exact', 'shop.Cart', null), [to('v1')]),
    rule(match('exact', 'shop.Cart', 'Put'), [to('v22')]),
    rule({ ...match('exact', 'shop.Cart', 'Put'), headers: [{ name: 'x-who', type: 'exact', value: 'me' }] }, [to('v1')]),
    rule(match('regex', 'shop\\..*Admin', 'G.t'), [to('v22')]),
    rule(match('exact', 'shop.Gone', null), [{ service: null, port: 80, weight: 1 }]),
  ];
  const rig = await startRig({ routes, appProtocol: 'grpc' });
  t.after(() => rig.close());
  for (const name of ['v1', 'v22']) rig.endpoints([await startServer(t, name)], {}, name);
  const client = new grpc.Client(`127.0.0.1:${rig.port}`, grpc.credentials.createInsecure());
  t.after(() => client.close());
  const call = (path: string, headers: Record<string, string> = {}): Promise<string> =>
    new Promise((resolve) => {
      const metadata = new grpc.Metadata();
      for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
      client.makeUnaryRequest(path, pass.serialize, pass.deserialize, Buffer.from('x'), metadata, (error, value) =>
        resolve(error === null ? String(value) : (grpc.status[error.code] ?? String(error.code))),
      );
    });
  const seen = await Promise.all([
    call('/shop.Cart/Get'),
    call('/shop.Cart/Put'),
    call('/shop.Cart/Put', { 'x-who': 'me' }),
    call('/shop.CartAdmin/Get'),
    call('/shop.Cart'),
    call('/shop.Other/Get'),
    call('/shop.Gone/Get'),
  ]);
  assert.deepEqual(seen, ['v1', 'v22', 'v1', 'v22', 'UNIMPLEMENTED', 'UNIMPLEMENTED', 'UNAVAILABLE']);
});
