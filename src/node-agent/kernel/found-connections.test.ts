import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseIp } from '#model/address/ip.ts';
import { EMPTY_MATCH } from '#model/mesh/authorization.ts';
import { aWorkload } from '#model/mesh/mesh-fixtures.testing.ts';
import { startAgentRig } from '#node-agent/agent-rig.testing.ts';

const client = aWorkload('client', ['10.0.0.1']);
const server = aWorkload('server', ['10.0.0.2']);
const elsewhere = aWorkload('elsewhere', ['10.0.9.9'], { node: 'two' });
const DENY_CLIENT = {
  name: 'p',
  namespace: 'shop',
  scope: 'namespace' as const,
  action: 'deny' as const,
  dryRun: false,
  rules: [
    {
      clauses: [
        { matches: [{ ...EMPTY_MATCH, principals: [{ kind: 'exact' as const, value: 'cluster.local/ns/shop/sa/client' }] }] },
      ],
    },
  ],
};

let cookies = 0n;
const open = (local: string, localPort: number, remote: string, remotePort: number) => ({
  socketCookie: ++cookies,
  local: parseIp(local),
  localPort,
  remote: parseIp(remote),
  remotePort,
});

/** Two workloads whose namespaces have these connections when the agent takes over. */
async function takenOver(connections: Record<'client' | 'server', ReturnType<typeof open>[]>) {
  const rig = startAgentRig();
  const [a, b] = [await rig.enroll(client), await rig.enroll(server)];
  rig.net.at('/netns/server').apps.set(8080, () => {});
  rig.net.at('/netns/client').open = connections.client;
  rig.net.at('/netns/server').open = connections.server;
  rig.agent.succession.takeOver();
  const flows = () =>
    rig.kernel.maps.flows.entries().map(([, { sourceId, destinationId, inbound }]) => [sourceId, destinationId, inbound]);
  return {
    rig,
    a,
    b,
    flows,
    tell: (policies: (typeof DENY_CLIENT)[] = []) => rig.tell({ workloads: [client, server, elsewhere], policies }),
  };
}

test('a connection between two workloads of this node is written down once, by the side that opened it', async () => {
  const { flows, tell, a, b } = await takenOver({
    client: [open('10.0.0.1', 40_000, '10.0.0.2', 8080)],
    server: [open('10.0.0.2', 8080, '10.0.0.1', 40_000)],
  });
  assert.deepEqual(flows(), [], 'nobody can tell before the mesh is known');
  tell();
  assert.deepEqual(flows(), [[a.id, b.id, 0]]);
});

test('a workload that is looked at again by itself has no record beside that of the opener', async () => {
  const { rig, flows, tell, a, b } = await takenOver({
    client: [open('10.0.0.1', 40_000, '10.0.0.2', 8080)],
    server: [open('10.0.0.2', 8080, '10.0.0.1', 40_000)],
  });
  tell();
  rig.agent.succession.enrolled(b);
  assert.deepEqual(flows(), [[a.id, b.id, 0]]);
});

test('what ends between the look and the first sync leaves no record', async () => {
  const [ends, stays] = [40_000, 40_001].map((port) => open('10.0.0.1', port, '10.0.0.2', 8080));
  assert.ok(ends && stays);
  const { rig, flows, tell, a, b } = await takenOver({ client: [ends, stays], server: [] });
  rig.net.at('/netns/client').open = [stays];
  tell();
  assert.deepEqual(flows(), [[a.id, b.id, 0]]);
});

test('plain text from outside the mesh has no identity', async () => {
  const { flows, tell, b } = await takenOver({ client: [], server: [open('10.0.0.2', 8080, '192.0.2.1', 50_000)] });
  tell();
  assert.deepEqual(flows(), [[0, b.id, 1]]);
});

test('what policy denies is closed with the first sync, and what goes to another node past its tunnel, too', async () => {
  const { rig, flows, tell } = await takenOver({
    client: [
      open('10.0.0.1', 40_000, '10.0.0.2', 8080),
      open('10.0.0.1', 40_001, '10.0.9.9', 80),
      open('10.0.0.1', 40_002, '192.0.2.1', 80),
    ],
    server: [],
  });
  tell([DENY_CLIENT]);
  assert.deepEqual(rig.net.destroyed.map(({ flow }) => flow.sourcePort).sort(), [40_000, 40_001]);
  assert.deepEqual(flows(), []);
  assert.ok(
    rig.lines.some(({ message, cause }) => message === 'connection closed that nobody judged' && cause === 'not-captured'),
  );
});

test("the agent's own connections, a waypoint's clients and what stays inside a workload are nobody's business here", async () => {
  const { rig, flows, tell } = await takenOver({
    client: [
      open('10.0.0.1', 40_000, '10.0.0.1', 15_001),
      open('10.0.0.1', 15_001, '10.0.0.1', 40_000),
      open('10.0.0.1', 40_001, '10.0.9.9', 15_008),
      open('10.0.0.1', 40_002, '10.0.0.2', 15_010),
      open('127.0.0.1', 40_003, '127.0.0.2', 80),
      open('127.0.0.2', 80, '127.0.0.1', 40_003),
    ],
    server: [],
  });
  tell();
  assert.deepEqual([flows(), rig.net.destroyed], [[], []]);
});

for (const { ranOutside, closed, rule } of [
  { ranOutside: true, closed: [], rule: 'K29: a pod that was not meant for the mesh at first keeps what it has' },
  {
    ranOutside: false,
    closed: [40_001],
    rule: 'K37: a pod that was meant all the time loses what it opened to other nodes in plain text',
  },
]) {
  test(rule, async () => {
    const rig = startAgentRig();
    rig.agent.succession.takeOver();
    rig.tell({ workloads: [client, elsewhere] });
    rig.net.add('/netns/client', ['10.0.0.1']).open = [
      open('10.0.0.1', 40_001, '10.0.9.9', 80),
      open('10.0.0.1', 40_002, '192.0.2.1', 80),
    ];
    await rig.enroll(client, { pod: { uid: 'uid-client', ranOutside, probed: [] } });
    assert.deepEqual(
      rig.net.destroyed.map(({ flow }) => flow.sourcePort),
      closed,
    );
  });
}
