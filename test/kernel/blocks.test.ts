import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { MeshDelta } from '#model/mesh/mesh-state.ts';
import { createTestCa } from '#platform/hbone/test-ca.testing.ts';
import { type App, Bed } from './bed.testing.ts';
import { Configured, pod, service } from './configured.testing.ts';
import { agentOn } from './mesh.testing.ts';

/** Blocks of addresses that ServiceEntries stand for, in the kernel of the client's node: outside and other are not in the mesh. */
describe('B41: connections to an address of a block are those of its service', () => {
  const one = new Bed();
  const two = new Bed();
  const hosts = {
    client: one.host(1),
    near: one.host(2),
    away: one.host(3),
    outside: one.host(4),
    other: one.host(5),
    dialled: one.host(6),
  };
  const agents: ReturnType<typeof agentOn>[] = [];
  let mesh: Configured;
  let app: App;

  const entry = (name: string, addresses: string, more: string, namespace = 'shop', ports = '9000'): void => {
    const list = ports.split(',').map((port) => `{ name: p${port}, number: ${port}, protocol: TCP, targetPort: 8080 }`);
    const spec = `hosts: [${name}.example.com], addresses: [${addresses}], ports: [${list.join()}], ${more}`;
    mesh.put(
      `{ apiVersion: networking.istio.io/v1, kind: ServiceEntry, metadata: { name: ${name}, namespace: ${namespace} }, spec: { ${spec} } }`,
    );
  };
  const gone = (...names: string[]): void => mesh.remove(...names.map((name) => `ServiceEntry ${name}`));
  const heard = async (host: string, port: number): Promise<string> => {
    app.send(`tally 8 ${host} ${port}`);
    return Object.keys(JSON.parse(await app.line()))
      .sort()
      .join();
  };
  /** What lies around all hosts of the bed. */
  const around = (family: 4 | 6): string => (family === 4 ? `${hosts.outside.ip4}/24` : `"${hosts.outside.ip6}/64"`);
  const captured = (): number => agents[0]?.counters().captured ?? 0;

  before(async () => {
    const ca = await createTestCa();
    agents.push(agentOn(one, { node: 'one', ca }), agentOn(two, { node: 'two', ca }));
    const tell = agents.map(
      ({ agent }) =>
        (delta: MeshDelta) =>
          agent.applyMesh(delta, true),
    );
    mesh = await Configured.start(tell);
    mesh.put(pod('client', hosts.client), pod('near', hosts.near), pod('away', hosts.away, { node: 'two' }), service('near'));
    for (const name of ['client', 'near', 'away'] as const) {
      const { agent } = agents[name === 'away' ? 1 : 0] ?? assert.fail();
      await agent.enroll({ ...mesh.request(name), netnsPath: hosts[name].netnsPath });
    }
    const listening = (['near', 'away', 'outside', 'other'] as const).map((name) => {
      const bed = name === 'away' ? two : one;
      const isIn = name === 'near' || name === 'away';
      return bed
        .app(hosts[name].netnsPath, 'greeter', { port: 8080, targets: [name], ...(isIn ? {} : { captured: false }) })
        .line();
    });
    await Promise.all(listening);
    app = one.app(hosts.client.netnsPath, 'tally-client');
    await app.line();
  });
  after(async () => {
    for (const { stop } of agents) stop();
    await one.down();
    await two.down();
  });

  for (const family of [4, 6] as const) {
    const ipOf = (host: { ip4: string; ip6: string }): string => (family === 4 ? host.ip4 : host.ip6);
    const [outside, other, dialled] = [ipOf(hosts.outside), ipOf(hosts.other), ipOf(hosts.dialled)];
    const endpoint = (host: { ip4: string; ip6: string }): string =>
      `resolution: STATIC, endpoints: [{ address: "${ipOf(host)}" }]`;

    test(`IPv${family}: to its endpoints, in the kernel; where nobody says a port, nowhere; as it was when the entry goes`, async () => {
      assert.equal(await heard(outside, 8080), 'outside');
      entry('wide', around(family), endpoint(hosts.other));
      const before = captured();
      assert.equal(await heard(outside, 9000), 'other');
      assert.equal(await heard(outside, 8080), 'ECONNREFUSED', 'a port that the service has not');
      assert.equal(captured() - before, 0, 'the agent carries nothing');
      gone('shop/wide');
      assert.equal(await heard(outside, 8080), 'outside');
    });

    test(`IPv${family}: a workload and a service keep their own addresses`, async () => {
      entry('wide', `${around(family)}, ${family === 4 ? '240.0.0.0/4' : '"2001:2::/48"'}`, endpoint(hosts.other));
      assert.equal(await heard(ipOf(hosts.near), 8080), 'near');
      const vip = mesh.addresses('shop/near')[family === 4 ? 0 : 1] ?? '';
      assert.equal(await heard(vip, 80), 'near');
      gone('shop/wide');
    });

    test(`IPv${family}: the longest block of a namespace counts`, async () => {
      entry('wide', around(family), endpoint(hosts.outside));
      entry('long', family === 4 ? `${dialled}/30` : `"${dialled}/127"`, endpoint(hosts.other));
      assert.equal(await heard(dialled, 9000), 'other');
      gone('shop/long');
      assert.equal(await heard(dialled, 9000), 'outside');
      gone('shop/wide');
    });

    test(`IPv${family}: a shorter one of the client's namespace goes before a longer one of another, by the agent`, async () => {
      entry('wide', around(family), endpoint(hosts.outside));
      entry('long', family === 4 ? `${dialled}/30` : `"${dialled}/127"`, endpoint(hosts.other), 'far');
      const before = captured();
      assert.equal(await heard(dialled, 9000), 'outside');
      assert.ok(captured() > before);
      gone('shop/wide');
      assert.equal(await heard(dialled, 9000), 'other', 'while it has none of its own');
      gone('far/long');
      assert.equal(await heard(other, 8080), 'other');
    });
  }

  test('to a workload of another node behind a block it goes encrypted', async () => {
    entry('wide', around(4), `resolution: STATIC, endpoints: [{ address: ${hosts.away.ip4} }]`);
    assert.equal(await heard(hosts.outside.ip4, 9000), 'away');
    assert.equal(agents[1]?.counters().inbound_open ?? 0, 0, 'nothing came in plain text');
    gone('shop/wide');
  });

  test('config-api 7.4: with resolution NONE it goes on to where it was going, which registry-only lets pass at its ports alone', async () => {
    const egress = (mode: string): void =>
      mesh.put(`{ apiVersion: v1, kind: Namespace, metadata: { name: shop, annotations: { weft.dev/egress: ${mode} } } }`);
    egress('registry-only');
    assert.equal(await heard(hosts.outside.ip4, 8080), 'ECONNREFUSED');
    entry('wide', around(4), 'resolution: NONE', 'shop', '8080');
    assert.equal(await heard(hosts.outside.ip4, 8080), 'outside');
    assert.equal(await heard(hosts.near.ip4, 8080), 'near', 'a workload is one');
    entry('wide', around(4), 'resolution: NONE', 'shop', '9000');
    assert.equal(await heard(hosts.outside.ip4, 8080), 'ECONNREFUSED', 'at another port the entry says nothing');
    egress('allow-any');
    assert.equal(await heard(hosts.outside.ip4, 8080), 'outside', 'and forbids nothing');
    gone('shop/wide');
  });

  test('a waypoint that is asked for and not there refuses: never around it', async () => {
    entry('wide', around(4), 'resolution: NONE', 'shop', '8080');
    mesh.put(
      `{ apiVersion: networking.istio.io/v1, kind: ServiceEntry, metadata: { name: wide, namespace: shop, labels: { istio.io/use-waypoint: way } }, spec: { hosts: [wide.example.com], addresses: [${around(4)}], ports: [{ name: p, number: 8080, protocol: TCP }], resolution: NONE } }`,
    );
    for (const port of [8080, 8081]) assert.match(await heard(hosts.outside.ip4, port), /ECONN(REFUSED|RESET)/);
    gone('shop/wide');
    assert.equal(await heard(hosts.outside.ip4, 8080), 'outside');
  });
});
