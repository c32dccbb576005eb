import assert from 'node:assert/strict';
import test from 'node:test';
import { parseIp } from '#model/address/ip.ts';
import { formatIdentity } from '#model/identity/identity.ts';
import { aWorkload, deltaOf } from '#model/mesh/mesh-fixtures.testing.ts';
import { type Service, serviceKeyOf } from '#model/mesh/service.ts';
import type { Workload } from '#model/mesh/workload.ts';
import { curl, startApp } from '#waypoint/clients.testing.ts';
import { configOf, type Rig, rule, startRig, to, VIP, WAYPOINT_IDENTITY } from '#waypoint/waypoint-rig.testing.ts';

const HERE = { kind: 'hostname', namespace: 'shop', hostname: 'waypoint.shop.svc.cluster.local', hbonePort: 15_008 } as const;

function learn(rig: Rig, ...workloads: ReturnType<typeof aWorkload>[]): void {
  rig.waypoint.meshChanged(rig.mesh.apply(deltaOf(workloads)));
}

function learnService(rig: Rig, service: Service, ...workloads: Workload[]): void {
  rig.waypoint.meshChanged(rig.mesh.apply(deltaOf(workloads, [service])));
}

test('reaching: an endpoint on this node is dialled plainly, as the client', async (t) => {
  const app = await startApp(t);
  const rig = await startRig();
  t.after(() => rig.close());
  rig.endpoints([app.port], { node: 'one' });
  assert.equal((await curl(rig.port, '/')).status, 200);
  assert.equal(rig.tunnels.length, 0);
  assert.equal(rig.dials[0]?.port, app.port);
  assert.match(rig.dials[0]?.client ?? '', /^10\.0\.0\.7:\d+$/);
});

test('promise 1: an endpoint on another node is reached through a tunnel that must prove its identity', async (t) => {
  const app = await startApp(t);
  const rig = await startRig();
  t.after(() => rig.close());
  rig.endpoints([app.port], { node: 'two', serviceAccount: 'cart' });
  assert.equal((await curl(rig.port, '/')).status, 200);
  assert.equal(rig.dials.length, 0);
  const [tunnel] = rig.tunnels;
  assert.deepEqual(tunnel?.target, {
    source: WAYPOINT_IDENTITY,
    peers: [{ trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: 'cart' }],
    address: '127.0.0.1',
    port: 15_008,
  });
  assert.equal(tunnel?.request.authority, `127.0.0.1:${app.port}`);
  assert.equal(tunnel?.request.serviceHost, 'cart.shop.svc.cluster.local');
  assert.match(tunnel?.request.client ?? '', /^10\.0\.0\.7:\d+$/);
  assert.match(tunnel?.request.traceparent ?? '', /^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/);
});

test('reaching: the names that a service allows are accepted of its endpoints, and a change of them opens anew', async (t) => {
  const app = await startApp(t);
  const rig = await startRig();
  t.after(() => rig.close());
  rig.endpoints([app.port], { node: 'two', serviceAccount: 'cart' });
  await curl(rig.port, '/');
  const service = rig.mesh.service('shop/cart.shop.svc.cluster.local');
  assert.ok(service);
  learnService(rig, { ...service, subjectAltNames: ['spiffe://x/ns/y/sa/z', 'dns.name'] });
  assert.equal((await curl(rig.port, '/')).status, 200);
  learnService(rig, { ...service, subjectAltNames: ['spiffe://x/ns/y/sa/z', 'dns.name'], ipFamilies: 'dual' });
  await curl(rig.port, '/');
  const own = 'spiffe://cluster.local/ns/shop/sa/cart';
  assert.deepEqual(
    rig.tunnels.map(({ target }) => target.peers.map(formatIdentity)),
    [[own], [own, 'spiffe://x/ns/y/sa/z']],
  );
});

test('reaching: what one service allows is not allowed to another with the same endpoint', async (t) => {
  const app = await startApp(t);
  const rig = await startRig({ routes: [rule({ path: { type: 'exact', value: '/b' } }, [to('b')]), rule({}, [to('cart')])] });
  t.after(() => rig.close());
  rig.endpoints([app.port], { node: 'two', serviceAccount: 'cart' });
  const cart = rig.mesh.service('shop/cart.shop.svc.cluster.local');
  const [workload] = rig.mesh.endpoints('shop/cart.shop.svc.cluster.local');
  assert.ok(cart && workload);
  const other = {
    ...cart,
    name: 'b',
    hostname: 'b.shop.svc.cluster.local',
    addresses: [],
    subjectAltNames: ['spiffe://x/ns/y/sa/z'],
  };
  const services = new Map([...workload.services, [serviceKeyOf(other), [{ servicePort: 80, targetPort: app.port }]]] as const);
  learnService(rig, other, { ...workload, services });
  for (const path of ['/', '/b', '/', '/b']) assert.equal((await curl(rig.port, path)).status, 200);
  assert.deepEqual(
    rig.tunnels.map(({ target, request }) => [request.serviceHost, target.peers.length]),
    [
      ['cart.shop.svc.cluster.local', 1],
      ['b.shop.svc.cluster.local', 2],
    ],
  );
});

test('reaching: an endpoint without HBONE on another node is dialled plainly', async (t) => {
  const app = await startApp(t);
  const rig = await startRig();
  t.after(() => rig.close());
  rig.endpoints([app.port], { node: 'two', tunnelProtocol: 'none' });
  assert.equal((await curl(rig.port, '/')).status, 200);
  assert.equal(rig.tunnels.length, 0);
});

test('reaching: connections to an endpoint that is gone or changed its identity are not used again', async (t) => {
  const app = await startApp(t);
  const rig = await startRig();
  t.after(() => rig.close());
  rig.endpoints([app.port]);
  await curl(rig.port, '/');
  rig.endpoints([app.port], { serviceAccount: 'other' });
  await curl(rig.port, '/');
  assert.equal(rig.waypoint.counters.upstreamReuses, 0);
  assert.equal(rig.waypoint.counters.upstreamConnections, 2);
});

test('reaching: a connection idle past the app’s own limit is not used again', async (t) => {
  const app = await startApp(t, (_heard, response) => response.setHeader('keep-alive', 'timeout=5').end('ok'));
  const rig = await startRig();
  t.after(() => rig.close());
  rig.endpoints([app.port]);
  await curl(rig.port, '/');
  rig.clock.advance(3_900);
  await curl(rig.port, '/');
  assert.equal(rig.waypoint.counters.upstreamReuses, 1);
  rig.clock.advance(4_000);
  await curl(rig.port, '/');
  assert.equal(rig.waypoint.counters.upstreamConnections, 2);
});

test('reaching: a workload bound to this waypoint is served on any port, under the Gateway’s policies', async (t) => {
  const app = await startApp(t);
  const rig = await startRig();
  t.after(() => rig.close());
  learn(rig, aWorkload('solo', ['127.0.0.1'], { waypoint: HERE }));
  rig.dialled = { address: '127.0.0.1', port: app.port };
  assert.equal((await curl(rig.port, '/')).status, 200);
  rig.waypoint.configure(
    configOf({ config: { policies: [{ namespace: 'shop', name: 'none', action: 'allow', dryRun: false, rules: [] }] } }),
  );
  assert.equal((await curl(rig.port, '/')).status, 403);
});

test('admission: what is bound is accepted, what is not is refused with its status', async (t) => {
  const rig = await startRig();
  t.after(() => rig.close());
  const elsewhere = { ...HERE, hostname: 'other.shop.svc.cluster.local' };
  const refused = { ...HERE, hostname: 'waypoint.shop.not-allowed.invalid' };
  const byAddress = { kind: 'address', network: '', address: parseIp('10.0.0.99'), hbonePort: 15_008 } as const;
  learn(
    rig,
    aWorkload('mine', ['10.0.0.1'], { waypoint: HERE }),
    aWorkload('other', ['10.0.0.2'], { waypoint: elsewhere }),
    aWorkload('free', ['10.0.0.3']),
    aWorkload('refused', ['10.0.0.5'], { waypoint: refused }),
    aWorkload('addressed', ['10.0.0.4', 'fd00::4'], { waypoint: byAddress }),
    aWorkload('waypoint-pod', ['10.0.0.99'], { serviceAccount: 'waypoint' }),
  );
  const cases: { authority: string; want: object }[] = [
    { authority: `${VIP}:80`, want: { kind: 'accept', dialled: { address: VIP, port: 80 } } },
    {
      authority: 'cart.shop.svc.cluster.local:80',
      want: { kind: 'accept', dialled: { address: 'cart.shop.svc.cluster.local', port: 80 } },
    },
    { authority: '10.0.0.1:9000', want: { kind: 'accept', dialled: { address: '10.0.0.1', port: 9_000 } } },
    { authority: '[fd00::4]:80', want: { kind: 'accept', dialled: { address: 'fd00::4', port: 80 } } },
    { authority: `${VIP}:81`, want: { kind: 'refuse', status: 503 } },
    { authority: '10.0.0.2:80', want: { kind: 'refuse', status: 400 } },
    { authority: '10.0.0.3:80', want: { kind: 'refuse', status: 400 } },
    { authority: '10.0.0.5:80', want: { kind: 'refuse', status: 400 } },
    { authority: '10.0.0.250:80', want: { kind: 'refuse', status: 503 } },
    { authority: 'nowhere.mesh:80', want: { kind: 'refuse', status: 503 } },
    { authority: '10.0.0.1', want: { kind: 'refuse', status: 400 } },
    { authority: '10.0.0.1:0', want: { kind: 'refuse', status: 400 } },
    { authority: '', want: { kind: 'refuse', status: 400 } },
  ];
  for (const { authority, want } of cases) {
    const { why: _why, ...admission } = { why: '', ...rig.waypoint.admit(authority) };
    assert.deepEqual(admission, want, authority);
  }
});

test('admission: a service whose binding is known but whose configuration has not arrived is refused with 503', async (t) => {
  const rig = await startRig();
  t.after(() => rig.close());
  rig.endpoints([], {}, 'late');
  const admission = rig.waypoint.admit('10.96.1.4:80');
  assert.deepEqual(admission, {
    kind: 'refuse',
    status: 503,
    why: 'shop/late.shop.svc.cluster.local is not bound to this waypoint',
  });
});
