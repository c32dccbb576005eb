import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseIp } from '#model/address/ip.ts';
import { HOOK, REASON } from '#model/kernel/abi.ts';
import { PORT } from '#model/mesh/ports.ts';
import type { CloseCause } from '#model/telemetry/close-cause.ts';
import type { Series } from '#model/telemetry/meters.ts';
import type { MetricName } from '#model/telemetry/metrics.ts';
import type { Agent } from '#node-agent/agent.ts';
import { type AgentRig, aPolicy, netnsOf, principal } from '#node-agent/agent-rig.testing.ts';
import { receivedBy, settle, until } from '#node-agent/memory-sockets.testing.ts';
import { cart, client, converses, isReset, MESH, remote, server, startTwoNodes } from '#node-agent/two-nodes.testing.ts';

function seriesOf(agent: Agent, name: MetricName): readonly Series[] {
  return agent.meters.collect().find((family) => family.name === name)?.series ?? [];
}

/** Refusals counted, by cause. */
function refusals(agent: Agent): Record<string, unknown> {
  return Object.fromEntries(seriesOf(agent, 'weft_refusals_total').map(({ labels, value }) => [labels.cause, value]));
}

test("a connection over a tunnel is counted by both agents, in Istio's labels, and bytes mean the same for both", async () => {
  const { rig, two, tell } = await startTwoNodes();
  tell(MESH);
  await converses(rig.dial(client, '10.0.1.2:8080'));
  for (const [agent, reporter] of [
    [rig.agent, 'source'],
    [two.agent, 'destination'],
  ] as const) {
    const [opened, more] = seriesOf(agent, 'istio_tcp_connections_opened_total');
    assert.equal(more, undefined);
    assert.equal(opened?.value, 1, reporter);
    const { labels } = opened;
    assert.deepEqual(
      [labels.reporter, labels.source_principal, labels.destination_principal, labels.destination_workload_namespace],
      [reporter, 'spiffe://cluster.local/ns/shop/sa/client', 'spiffe://cluster.local/ns/shop/sa/remote', 'shop'],
    );
    assert.deepEqual(
      [labels.response_flags, labels.connection_security_policy, labels.request_protocol],
      ['-', 'mutual_tls', 'tcp'],
    );
    assert.equal(agent.meters.total('istio_tcp_connections_closed_total'), 1);
    assert.equal(agent.meters.total('istio_tcp_received_bytes_total'), 5, 'from the client');
    assert.equal(agent.meters.total('istio_tcp_sent_bytes_total'), 5, 'to the client');
    assert.equal(agent.meters.total('istio_tcp_connections_failed_total'), 0);
  }
});

const refused: { name: string; cause: CloseCause; provoke: (rig: AgentRig) => Promise<void> }[] = [
  {
    name: 'a port the kernel did not capture',
    cause: 'not-captured',
    provoke: (rig) => isReset(rig.dial(client, '10.0.0.2:8080', { captured: false })),
  },
  { name: 'a service without that port', cause: 'no-such-port', provoke: (rig) => isReset(rig.dial(client, '240.0.0.1:81')) },
  { name: 'an app that does not listen', cause: 'connect-failed', provoke: (rig) => isReset(rig.dial(client, '10.0.0.2:9')) },
  {
    name: 'a policy',
    cause: 'policy',
    async provoke(rig) {
      rig.tell({ policies: [aPolicy('deny', principal('client'))] });
      await isReset(rig.dial(client, '10.0.0.2:8080'));
    },
  },
];
for (const { name, cause, provoke } of refused) {
  test(`promise 8: ${name} is one line and one count, both of cause ${cause}`, async () => {
    const { rig, tell } = await startTwoNodes();
    tell(MESH);
    await provoke(rig);
    const lines = rig.lines.filter((line) => line.cause !== undefined);
    assert.deepEqual(
      lines.map((line) => line.cause),
      [cause],
    );
    assert.deepEqual(refusals(rig.agent), { [cause]: 1 });
    assert.equal(rig.agent.meters.total('istio_tcp_connections_failed_total'), 1);
    assert.equal(rig.agent.meters.total('istio_tcp_connections_opened_total'), 0);
  });
}

test('a refusal says which service was dialled, in the line and in the labels', async () => {
  const { rig, tell } = await startTwoNodes();
  tell(MESH);
  await isReset(rig.dial(client, '240.0.0.1:81'));
  const [failed] = seriesOf(rig.agent, 'istio_tcp_connections_failed_total');
  const { hostname } = cart;
  assert.deepEqual([rig.access()['dst.service'], failed?.labels.destination_service], [hostname, hostname]);
});

test('promise 8: a refusal of the kernel is one line and one count', async () => {
  const { rig, tell } = await startTwoNodes();
  tell(MESH);
  rig.agent.kernelEvent({
    timeNs: 0n,
    sourceId: rig.agent.ids.of('workload', client.uid),
    destinationId: 0,
    source: null,
    destination: parseIp('240.0.0.1'),
    sourcePort: 0,
    destinationPort: 81,
    reason: REASON.noSuchPort,
    hook: HOOK.connect,
  });
  assert.deepEqual(refusals(rig.agent), { 'no-such-port': 1 });
  assert.deepEqual([rig.lines.at(-1)?.cause, rig.lines.at(-1)?.['src.workload']], ['no-such-port', 'client']);
});

test('a connection that a policy cuts is closed with its flag, not failed', async () => {
  const { rig, tell } = await startTwoNodes();
  tell(MESH);
  const socket = rig.dial(client, '10.0.0.2:8080');
  const received = receivedBy(socket);
  socket.write('hello');
  await until(() => received.text() === 'hello', 'an echo');
  rig.tell({ policies: [aPolicy('deny', principal('client'))] });
  await until(() => received.error() !== null, 'a cut');
  await settle();
  const [closed] = seriesOf(rig.agent, 'istio_tcp_connections_closed_total');
  assert.deepEqual([closed?.labels.response_flags, closed?.value], ['DENY', 1]);
  assert.deepEqual(refusals(rig.agent), { 'policy-change': 1 });
});

test('the page tells what the agent holds', async () => {
  const { rig, tell } = await startTwoNodes();
  const value = (name: MetricName) => seriesOf(rig.agent, name).map((series) => series.value);
  assert.deepEqual(value('weft_mesh_complete'), [0]);
  assert.deepEqual(value('weft_enrolled_workloads'), [0, 2]);
  tell({ workloads: [client, server, remote], services: MESH.services });
  assert.deepEqual(value('weft_mesh_complete'), [1]);
  assert.deepEqual(value('weft_enrolled_workloads'), [2, 0]);
  assert.deepEqual(value('weft_verdict_generation'), [rig.agent.generation]);
  assert.deepEqual(value('weft_verdicts'), [rig.kernel.maps.verdicts.entries().length]);
});

test('B48: what the kernel carries is told by pairs, once for each policy in dry run', async () => {
  const { rig, tell } = await startTwoNodes();
  tell(MESH);
  tell({ policies: [{ ...aPolicy('deny', principal('client')), dryRun: true }] });
  const lines = rig.lines.filter(({ layer, pairs }) => layer === undefined && pairs !== undefined);
  assert.deepEqual(
    lines.map(({ policy, decision, pairs, ...line }) => [policy, decision, pairs, line['src.workload'], line['dst.workload']]),
    [['shop/p', 'deny', 1, 'client', 'server']],
  );
  assert.equal(rig.agent.meters.total('weft_dry_run_decisions_total'), 1);
  await converses(rig.dial(client, '10.0.0.2:8080'));
});

test('promise 8: a peer that does not speak HBONE is counted by the agent that it came to', async () => {
  const { two, tell } = await startTwoNodes();
  tell(MESH);
  assert.equal((await two.net.dial(netnsOf(client), { ip: parseIp('10.0.1.2'), port: PORT.hbone }, 1_000)).kind, 'open');
  await settle();
  assert.deepEqual(refusals(two.agent), { 'handshake-failed': 1 });
});
