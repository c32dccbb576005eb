import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import type { ExternalAuthorizer } from '#model/waypoint/authorizer.ts';
import type { L7Policy } from '#model/waypoint/config.ts';
import type { CheckRequest } from '#proto/external_authorization_pb.js';
import { authorizer, custom, startGrpcAuthorizer } from '#waypoint/authorizers.testing.ts';
import { deadPort, rawClient, startRawApp } from '#waypoint/clients.testing.ts';
import { configOf, type Rig, settle, startRig, until } from '#waypoint/waypoint-rig.testing.ts';

const ALLOWS = { status: { code: 0 } };
const DENIES = { status: { code: 7 } };

type Made = { rig: Rig; asked: CheckRequest[]; opened: () => number };

/** An app that echoes, behind a waypoint whose policies ask a real server of gRPC. */
async function made(
  t: TestContext,
  answer: Parameters<typeof startGrpcAuthorizer>[1],
  change: Partial<Omit<ExternalAuthorizer, 'http'>> = {},
  policies: L7Policy[] = [custom([])],
): Promise<Made> {
  let opened = 0;
  const app = await startRawApp(t, (socket) => {
    opened++;
    socket.on('data', (data) => socket.write(data));
  });
  const { port, asked } = await startGrpcAuthorizer(t, answer);
  const rig = await startRig({ appProtocol: 'tcp', config: { authorizers: [authorizer(change, null)] }, policies });
  t.after(() => rig.close());
  rig.endpoints([app]);
  rig.endpoints([port], {}, 'authz');
  rig.waypoint.configure(configOf({ config: { authorizers: [authorizer(change, null)], services: rig.config.services } }));
  return { rig, asked, opened: () => opened };
}

test('W67: a connection without HTTP passes when its authorizer says so, who is told its ends', async (t) => {
  const { rig, asked } = await made(t, () => ALLOWS);
  const client = await rawClient(t, rig.port);
  client.socket.write('hi');
  await until(() => client.received() === 'hi');
  const { source, destination, request } = asked[0]?.attributes ?? {};
  assert.equal(source?.principal, 'spiffe://cluster.local/ns/web/sa/front');
  assert.deepEqual([destination?.service, request?.http], ['cart.shop.svc.cluster.local', undefined]);
  assert.equal(asked.length, 1);
});

const REFUSALS: { name: string; answer: Parameters<typeof startGrpcAuthorizer>[1]; details: RegExp }[] = [
  { name: 'that denies', answer: () => DENIES, details: /^ext_authz_denied$/ },
  { name: 'that fails', answer: () => 13, details: /^ext_authz_error\{authz\|grpc-status_13/ },
];
for (const { name, answer, details } of REFUSALS) {
  test(`W67: an authorizer ${name} has a connection without HTTP closed, and the app hears nothing of it`, async (t) => {
    const { rig, opened } = await made(t, answer);
    const client = await rawClient(t, rig.port);
    client.socket.write('hi');
    await until(() => client.socket.destroyed || client.ended());
    await until(() => rig.lines.some(({ message }) => message === 'connection complete'));
    const line = rig.lines.find(({ message }) => message === 'connection complete');
    assert.equal(line?.response_flags, 'UAEX');
    assert.match(String(line?.response_code_details ?? line?.error), details);
    assert.deepEqual([opened(), client.received(), rig.waypoint.counters.tcpConnectionsDenied], [0, '', 1]);
  });
}

test('W67: one that cannot be reached lets a connection pass only where it is failOpen', async (t) => {
  for (const failOpen of [false, true]) {
    const { rig } = await made(t, () => ALLOWS, { failOpen });
    rig.endpoints([await deadPort()], {}, 'authz');
    const client = await rawClient(t, rig.port);
    client.socket.write('hi');
    await until(() => (failOpen ? client.received() === 'hi' : client.socket.destroyed || client.ended()));
  }
});

test('W67: one that does not answer in time has decided nothing; a client that leaves meanwhile is forgotten', async (t) => {
  const { rig, asked } = await made(t, () => ALLOWS, { timeoutMs: 500 });
  // It accepts, and says nothing.
  rig.endpoints([await startRawApp(t, () => {})], {}, 'authz');
  const [late, leaving] = [await rawClient(t, rig.port), await rawClient(t, rig.port)];
  await until(() => rig.waypoint.counters.tcpConnections === 2);
  leaving.socket.resetAndDestroy();
  await until(() => rig.lines.some(({ response_flags }) => response_flags === 'DC'));
  await until(() => rig.clock.pendingMs().includes(500));
  rig.clock.advance(500);
  await until(() => late.socket.destroyed || late.ended());
  assert.equal(asked.length, 0);
});

test('W67: a policy that comes to ask about an open connection closes it, for nobody has let it pass', async (t) => {
  const { rig, asked } = await made(t, () => ALLOWS, {}, []);
  const client = await rawClient(t, rig.port);
  client.socket.write('hi');
  await until(() => client.received() === 'hi');
  const now = (policies: L7Policy[]): void =>
    rig.waypoint.configure(configOf({ policies, config: { authorizers: [authorizer({}, null)] } }));
  now([custom([])]);
  await until(() => client.socket.destroyed || client.ended());
  const again = await rawClient(t, rig.port);
  again.socket.write('hi');
  await until(() => again.received() === 'hi');
  now([custom([]), custom(['/x'])]);
  await settle();
  again.socket.write('!');
  await until(() => again.received() === 'hi!');
  assert.equal(asked.length, 1);
});
