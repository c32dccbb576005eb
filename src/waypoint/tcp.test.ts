import assert from 'node:assert/strict';
import test from 'node:test';
import type { Service } from '#model/mesh/service.ts';
import { WAYPOINT } from '#model/settings/waypoints.ts';
import type { L7Operation, L7Policy, L7Rule } from '#model/waypoint/config.ts';
import { deadPort, rawClient, startRawApp } from '#waypoint/clients.testing.ts';
import { CART, configOf, settle, startRig, until } from '#waypoint/waypoint-rig.testing.ts';

function operation(partial: Partial<L7Operation>): L7Rule {
  const empty = { hosts: [], notHosts: [], ports: [], notPorts: [], methods: [], notMethods: [], paths: [], notPaths: [] };
  return { from: [], to: [{ ...empty, ...partial }], when: [] };
}

function policy(action: 'allow' | 'deny', ...rules: L7Rule[]): L7Policy {
  return { namespace: 'shop', name: 'p', action, dryRun: false, rules };
}

const echo = (t: import('node:test').TestContext): Promise<number> =>
  startRawApp(t, (socket) => {
    socket.on('data', (data) => socket.write(`echo ${data}`));
    socket.on('end', () => socket.end('bye'));
  });

test('TCP: what is not HTTP passes, half-close included, and its end is recorded', async (t) => {
  const rig = await startRig({ appProtocol: 'unknown' });
  t.after(() => rig.close());
  rig.endpoints([await echo(t)]);
  const client = await rawClient(t, rig.port);
  client.socket.write('*1\r\nPING\r\n');
  await until(() => client.received() === 'echo *1\r\nPING\r\n');
  client.socket.end();
  await until(() => client.ended());
  assert.match(client.received(), /bye$/);
  await until(() => rig.lines.some(({ message }) => message === 'connection complete'));
  const line = rig.lines.find(({ message }) => message === 'connection complete');
  assert.equal(line?.response_flags, '-');
  assert.equal(line?.bytes_recv, 10);
  assert.equal(line?.bytes_sent, 18);
});

test('TCP: a client that sends a little, half-closes and waits gets its answer', async (t) => {
  const rig = await startRig({ appProtocol: 'unknown' });
  t.after(() => rig.close());
  rig.endpoints([await echo(t)]);
  const client = await rawClient(t, rig.port);
  client.socket.end('PING');
  await until(() => client.ended());
  assert.equal(client.received(), 'echo PINGbye');
});

test('TCP: on a port declared tcp the server may speak first, and HTTP is not looked at', async (t) => {
  const port = await startRawApp(t, (socket) => socket.write('220 ready\r\n'));
  const rig = await startRig({ appProtocol: 'tcp' });
  t.after(() => rig.close());
  rig.endpoints([port]);
  const client = await rawClient(t, rig.port);
  await until(() => client.received() === '220 ready\r\n');
  client.socket.write('GET / HTTP/1.1\r\n\r\n');
  await settle();
  assert.equal(rig.waypoint.counters.requests, 0);
});

test('TCP: a client that stays silent on an undeclared port is closed, never taken for TCP', async (t) => {
  const rig = await startRig({ appProtocol: 'unknown' });
  t.after(() => rig.close());
  rig.endpoints([await echo(t)]);
  const client = await rawClient(t, rig.port);
  client.socket.write('GET /');
  await settle();
  rig.clock.advance(WAYPOINT.silentClientMs);
  await until(() => client.socket.destroyed || client.ended());
  assert.equal(rig.waypoint.counters.tcpConnections, 0);
  assert.match(String(rig.lines.at(-1)?.remedy), /appProtocol: tcp/);
});

const VERDICTS: { name: string; policies: L7Policy[]; passes: boolean }[] = [
  { name: 'no policy lets it pass', policies: [], passes: true },
  {
    name: 'an ALLOW rule with a request attribute does not match',
    policies: [policy('allow', operation({ methods: ['GET'] }))],
    passes: false,
  },
  { name: 'an ALLOW rule on the port does', policies: [policy('allow', operation({ ports: ['80'] }))], passes: true },
  {
    name: 'a DENY rule matches without its request attributes',
    policies: [policy('deny', operation({ paths: ['/x'] }))],
    passes: false,
  },
  {
    name: 'a DENY rule for another port does not',
    policies: [policy('deny', operation({ paths: ['/x'], ports: ['81'] }))],
    passes: true,
  },
];

for (const { name, policies, passes } of VERDICTS) {
  test(`TCP (config-api 3.6): ${name}`, async (t) => {
    const rig = await startRig({ appProtocol: 'tcp', policies });
    t.after(() => rig.close());
    rig.endpoints([await echo(t)]);
    const client = await rawClient(t, rig.port);
    client.socket.write('hi');
    await until(() => (passes ? client.received() === 'echo hi' : client.ended() || client.socket.destroyed));
    assert.equal(rig.waypoint.counters.tcpConnectionsDenied, passes ? 0 : 1);
  });
}

test('policy change: a TCP connection that a new policy denies is closed, others go on', async (t) => {
  const rig = await startRig({ appProtocol: 'tcp' });
  t.after(() => rig.close());
  rig.endpoints([await echo(t)]);
  const client = await rawClient(t, rig.port);
  client.socket.write('hi');
  await until(() => client.received() === 'echo hi');
  rig.waypoint.configure(configOf({ policies: [policy('deny', operation({ ports: ['81'] }))] }));
  client.socket.write('yo');
  await until(() => client.received() === 'echo hiecho yo');
  rig.waypoint.configure(configOf({ policies: [policy('deny', operation({ ports: ['80'] }))] }));
  await until(() => client.ended() || client.socket.destroyed);
  assert.deepEqual([rig.lines.at(-1)?.policy, rig.lines.at(-1)?.rule], ['shop/p', 0]);
});

test('TCP: an endpoint that cannot be reached closes the connection, UF; none at all, UH', async (t) => {
  const rig = await startRig({ appProtocol: 'tcp' });
  t.after(() => rig.close());
  for (const [ports, flag] of [
    [[await deadPort()], 'UF'],
    [[], 'UH'],
  ] as const) {
    rig.endpoints([...ports]);
    const client = await rawClient(t, rig.port);
    await until(() => client.ended() || client.socket.destroyed);
    assert.equal(rig.lines.at(-1)?.response_flags, flag);
  }
});

test('config-api 1.14: a waypoint follows the route of connections of its service, by the namespace of the client', async (t) => {
  const rig = await startRig({ appProtocol: 'tcp' });
  t.after(() => rig.close());
  const named = (name: string) => startRawApp(t, (socket) => socket.end(name));
  rig.endpoints([await named('cart')]);
  rig.endpoints([await named('v1')], {}, 'v1');
  rig.endpoints([await named('v2')], {}, 'v2x');
  const shares = (name: string | null) => [
    { service: name === null ? null : `shop/${name}.shop.svc.cluster.local`, port: 80, weight: 1 },
  ];
  const heard = async (): Promise<string> => {
    const client = await rawClient(t, rig.port);
    await until(() => client.ended() || client.socket.destroyed);
    return client.received();
  };
  const route = (...routes: Service['routes']): void => {
    const cart = rig.mesh.service(CART) ?? assert.fail('no cart');
    const services = new Map([[CART, { ...cart, routes }]]);
    rig.waypoint.meshChanged(rig.mesh.apply({ services, workloads: new Map(), policies: new Map() }));
  };
  assert.equal(await heard(), 'cart');
  const all = { transport: 'tcp', port: 80, clientNamespace: null } as const;
  route({ ...all, shares: shares('v1') });
  assert.equal(await heard(), 'v1');
  route({ ...all, shares: shares('v1') }, { ...all, clientNamespace: 'web', shares: shares('v2x') });
  assert.equal(await heard(), 'v2', 'the client is of namespace web');
  route({ ...all, shares: shares(null) });
  assert.deepEqual([await heard(), rig.lines.at(-1)?.response_flags], ['', 'UH']);
});
