import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { MeshDelta } from '#model/mesh/mesh-state.ts';
import { type App, Bed } from './bed.testing.ts';
import { Configured, pod, service } from './configured.testing.ts';
import { agentOn } from './mesh.testing.ts';

const UDP = '{ name: dns, port: 5300, targetPort: 5353, protocol: UDP }, { name: tcp, port: 80, targetPort: 8080 }';

function udpRoute(backends: string, { name = 'cart', namespace = 'shop' } = {}): string {
  const parents = 'parentRefs: [{ group: "", kind: Service, name: cart, namespace: shop }]';
  return `{ apiVersion: gateway.networking.k8s.io/v1, kind: UDPRoute, metadata: { name: ${name}, namespace: ${namespace} }, spec: { ${parents}, rules: [{ backendRefs: [${backends}] }] } }`;
}
function zoneOf(node: string, zone: string): string {
  const labels = `{ topology.kubernetes.io/region: r, topology.kubernetes.io/zone: ${zone} }`;
  return `{ apiVersion: v1, kind: Node, metadata: { name: ${node}, labels: ${labels} } }`;
}
const to = (name: string, weight: number): string => `{ name: ${name}, port: 5300, weight: ${weight} }`;

/** UDP by the address of a service, on one node and to another, where nothing encrypts it. */
for (const datagramsClear of [false, true])
  describe(`datagrams to services, ${datagramsClear ? 'between nodes in clear' : 'between nodes refused'}`, () => {
    const one = new Bed();
    const two = new Bed();
    const hosts = { a: one.host(1), v1: one.host(2), v2: one.host(3), f1: one.host(4) };
    const lines: string[] = [];
    let near: ReturnType<typeof agentOn>;
    let far: ReturnType<typeof agentOn>;
    let mesh: Configured;
    let client: App;
    let plain: App;
    const tell = (text: string, app = client): Promise<string> => {
      app.send(text);
      return app.line();
    };
    const tally = async (count: number, host: string, port = 5300): Promise<Record<string, number>> =>
      JSON.parse(await tell(`tally ${count} ${host} ${port}`)) as Record<string, number>;
    const vip = (name = 'cart', at = 0): string => mesh.addresses(`shop/${name}`)[at] ?? '';

    before(async () => {
      const onLine = (fields: object, message: string): void => void lines.push(`${message} ${JSON.stringify(fields)}`);
      near = agentOn(one, { node: 'one', datagramsClear, onLine });
      far = agentOn(two, { node: 'two', datagramsClear });
      mesh = await Configured.start(
        [near, far].map(
          ({ agent }) =>
            (delta: MeshDelta) =>
              agent.applyMesh(delta, true),
        ),
      );
      mesh.put(
        pod('a', hosts.a),
        pod('v1', hosts.v1),
        pod('v2', hosts.v2),
        pod('f1', hosts.f1, { node: 'two' }),
        ...['v1', 'v2', 'f1'].map((name) => service(name, { ports: UDP })),
        service('cart', { app: 'v1', ports: UDP }),
      );
      for (const name of ['a', 'v1', 'v2'] as const)
        await near.agent.enroll({ ...mesh.request(name), netnsPath: hosts[name].netnsPath });
      await far.agent.enroll({ ...mesh.request('f1'), netnsPath: hosts.f1.netnsPath });
      await Promise.all(
        (['v1', 'v2', 'f1'] as const).map((name) =>
          (name === 'f1' ? two : one).app(hosts[name].netnsPath, 'datagram-greeter', { port: 5353, targets: [name] }).line(),
        ),
      );
      client = one.app(hosts.a.netnsPath, 'datagram-tally');
      plain = one.app(hosts.a.netnsPath, 'datagram-client');
      await Promise.all([client.line(), plain.line()]);
    });
    after(async () => {
      near?.stop();
      far?.stop();
      await one.down();
      await two.down();
    });

    for (const [family, at] of [
      ['IPv4', 0],
      ['IPv6', 1],
    ] as const) {
      test(`over ${family} the answer comes from the service, connected or not, and the server sees the client`, async () => {
        const own = at === 0 ? hosts.a.ip4 : hosts.a.ip6;
        assert.equal(
          await tell(`ask ${vip('cart', at)} 5300 hi`, plain).then((line) => line.replaceAll(' ', '|')),
          `answer|v1|hi|${own}|${vip('cart', at)}|5300`,
        );
        assert.equal(await tell(`connected ${vip('cart', at)} 5300 yo`, plain), `connected ${vip('cart', at)} 5300`);
        assert.equal(await plain.line(), `answer v1 yo ${own} ${vip('cart', at)} 5300`);
      });
    }

    test('a port that it has for TCP alone, or not at all, takes no datagram', async () => {
      assert.deepEqual(await tally(1, vip(), 81), { ECONNREFUSED: 1 });
      assert.deepEqual(await tally(1, vip(), 80), { ECONNREFUSED: 1 });
    });

    test('config-api 1.14: UDPRoute: flows by weight, and each stays with its backend', async () => {
      mesh.put(udpRoute(`${to('v1', 90)}, ${to('v2', 10)}`));
      assert.deepEqual(mesh.yaml.conditions('UDPRoute shop/cart'), ['Accepted True Accepted', 'ResolvedRefs True ResolvedRefs']);
      // A fair draw of 10,000 is farther off than one per cent once in a thousand times, and then not twice.
      const share = async (): Promise<number> => ((await tally(10_000, vip())).v1 ?? 0) / 100;
      const found = await share();
      if (Math.abs(found - 90) > 1) assert.ok(Math.abs((await share()) - 90) <= 1, `${found} %`);
      for (let socket = 0; socket < 20; socket++) {
        const heard = JSON.parse(await tell(`chat 10 ${vip()} 5300 ${vip('v2')} 5300 ${vip('v1')} 5300`)) as string[];
        // The route's service is one of the two all along; the answers are told by whom they were asked.
        assert.equal(heard.filter((one) => one.endsWith(`${vip()}:5300`)).length, 1, heard.join());
        assert.ok(heard.includes(`v2 from ${vip('v2')}:5300`), heard.join());
      }
    });

    test('a flow goes on to another backend when its own has left, and what goes nowhere is refused', async () => {
      mesh.put(udpRoute(`${to('v1', 1)}, ${to('nobody', 1)}`));
      assert.deepEqual(Object.keys(await tally(64, vip())), ['ECONNREFUSED', 'v1']);
      mesh.put(udpRoute(to('v2', 1)));
      assert.deepEqual(await tally(4, vip()), { v2: 4 });
      assert.equal(mesh.yaml.conditions('UDPRoute shop/cart').length, 2);
      mesh.put(udpRoute(to('v2', 1), { name: 'theirs', namespace: 'far' }));
      assert.equal(mesh.yaml.conditions('UDPRoute far/theirs')[0], 'Accepted False NoMatchingParent');
      mesh.remove('UDPRoute shop/cart', 'UDPRoute far/theirs');
      assert.deepEqual(await tally(4, vip()), { v1: 4 });
    });

    if (datagramsClear)
      test('to a workload of another node it goes in clear, as the operator said', async () => {
        assert.deepEqual(await tally(4, vip('f1')), { f1: 4 });
        assert.deepEqual(await tally(1, hosts.f1.ip4, 5353), { f1: 1 });
      });

    if (datagramsClear)
      test('B36: they go where the service prefers, and elsewhere only if it says so', async () => {
        const zoned = (spec: string): void => mesh.put(service('zoned', { app: 'zoned', ports: UDP, spec }));
        const heard = async (): Promise<string> =>
          Object.keys(await tally(64, vip('zoned')))
            .sort()
            .join();
        const near1 = pod('v1', hosts.v1, { app: 'zoned' });
        const isAway = near1.replace('status: "True"', 'status: "False"');
        mesh.put(zoneOf('one', 'a'), zoneOf('two', 'b'), near1, pod('f1', hosts.f1, { app: 'zoned', node: 'two' }));
        zoned('');
        assert.equal(await heard(), 'f1,v1');
        zoned('trafficDistribution: PreferSameZone');
        assert.equal(await heard(), 'v1');
        mesh.put(isAway);
        assert.equal(await heard(), 'f1', 'rather than nowhere');
        zoned('internalTrafficPolicy: Local');
        assert.equal(await heard(), 'ECONNREFUSED');
        mesh.put(near1);
        assert.equal(await heard(), 'v1');
        mesh.put(pod('v1', hosts.v1), pod('f1', hosts.f1, { node: 'two' }));
      });
    else
      test('promise 1: to a workload of another node it is refused, with a line that says why', async () => {
        near.readEvents();
        lines.length = 0;
        assert.deepEqual(await tally(1, vip('f1')), { ECONNREFUSED: 1 });
        assert.equal(await tell(`connected ${vip('f1', 1)} 5300 x`, plain), 'error ECONNREFUSED');
        assert.deepEqual(await tally(1, hosts.f1.ip4, 5353), { ECONNREFUSED: 1 });
        near.readEvents();
        const told = lines.filter((line) => line.includes('refused by the kernel') && line.includes('"datagram"'));
        assert.equal(told.length, 3, lines.join('\n'));
      });

    if (!datagramsClear)
      test('promise 1: endpoints here are chosen while there are any', async () => {
        mesh.put(
          service('both', { app: 'both', ports: UDP }),
          pod('v1', hosts.v1, { app: 'both' }),
          pod('f1', hosts.f1, { app: 'both', node: 'two' }),
        );
        assert.deepEqual(await tally(64, vip('both')), { v1: 64 });
      });
  });
