import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseIp } from '#model/address/ip.ts';
import { aService, aWorkload, endpointOf } from '#model/mesh/mesh-fixtures.testing.ts';
import { AGENT } from '#model/settings/agents.ts';
import { type AgentRig, aPolicy, netnsOf, principal, startAgentRig, type TunnelClient } from '#node-agent/agent-rig.testing.ts';
import { type App, ECHO } from '#node-agent/memory-net.testing.ts';
import { type MemorySocket, receivedBy, settle, until } from '#node-agent/memory-sockets.testing.ts';

const cart = aService('cart', ['240.0.0.1']);
const server = aWorkload('server', ['10.0.0.2', 'fd00::2'], { services: endpointOf(cart) });
const CLIENT = 'spiffe://cluster.local/ns/shop/sa/client';

/** A node with `server`, whose port 8080 is served by `app`. */
async function setUp(app: App = ECHO): Promise<AgentRig> {
  const rig = startAgentRig();
  await rig.enroll(server);
  rig.net.at(netnsOf(server)).apps.set(8080, app);
  rig.tell({ workloads: [server], services: [cart] });
  return rig;
}

/** Status of a CONNECT, and the line it left. */
async function answerTo(rig: AgentRig, client: TunnelClient) {
  const { status, baggage, socket } = await rig.tunnel(server, client);
  return { status, baggage, socket, line: status === 200 ? null : rig.access() };
}

const refused = [
  { name: 'an authority without a port', authority: '10.0.0.2', status: 400, error: /malformed authority/ },
  { name: 'B7: an address that is not the one of this workload', authority: '10.0.0.3:8080', status: 400, error: /ip mismatch/ },
  { name: 'B7: the address of the other family', authority: '[fd00::2]:8080', status: 400, error: /ip mismatch/ },
  { name: 'B9: the outbound port', authority: '10.0.0.2:15001', status: 503, error: /recursive call/ },
  { name: 'B9: the plain-text port', authority: '10.0.0.2:15006', status: 503, error: /recursive call/ },
  { name: 'B9: the HBONE port', authority: '10.0.0.2:15008', status: 503, error: /recursive call/ },
  { name: 'B23: an unknown host', authority: 'nobody.shop.svc.cluster.local:80', status: 503, error: /no service nobody/ },
  { name: 'B23: a host without that port', authority: `${cart.hostname}:81`, status: 503, error: /port 81/ },
  { name: 'B11: a port that nobody listens on', authority: '10.0.0.2:9', status: 503, error: /ECONNREFUSED/ },
];
for (const { name, authority, status, error } of refused) {
  test(`a CONNECT to ${name} is answered ${status}, and the app never hears of it`, async () => {
    let calls = 0;
    const rig = await setUp(() => void calls++);
    const answer = await answerTo(rig, { authority });
    assert.deepEqual([answer.status, calls, answer.line?.response_flags], [status, 0, 'CONNECT']);
    assert.match(String(answer.line?.error), error);
  });
}

test('B10: a CONNECT that policy denies is answered 401, and the line names policy and rule', async () => {
  const rig = await setUp();
  rig.tell({ policies: [aPolicy('deny', principal('client'))] });
  const { status, line } = await answerTo(rig, { authority: '10.0.0.2:8080' });
  assert.deepEqual([status, line?.response_flags, line?.policy, line?.rule], [401, 'DENY', 'shop/p', 0]);
  assert.deepEqual(rig.net.dials, []);
});

test('F13: a policy that is named but not known yet is waited for, and then denies', async () => {
  const rig = await setUp();
  rig.tell({ workloads: [{ ...server, authorizationPolicies: ['shop/late'] }] });
  const answer = await rig.tunnel(server, { authority: '10.0.0.2:8080' });
  assert.equal(answer.status, null, 'it may be on its way');
  rig.clock.advance(AGENT.knowledgeDeadlineMs);
  await settle();
  assert.deepEqual([answer.status, rig.access().policy], [401, 'shop/late']);
  rig.tell({ policies: [aPolicy('allow', principal('client'), { name: 'late', scope: 'workload-selector' })] });
  assert.equal((await answerTo(rig, { authority: '10.0.0.2:8080' })).status, 200);
});

test('B47: policy sees the port of the workload, also when the authority names the service', async () => {
  const rig = await setUp();
  rig.tell({ policies: [aPolicy('deny', { ...principal('client'), destinationPorts: [8080] })] });
  assert.equal((await answerTo(rig, { authority: `${cart.hostname}:80` })).status, 401);
});

test('a policy that comes while the app is dialled answers 401: nothing is opened that is cut at once', async () => {
  const heard: string[] = [];
  const rig = await setUp((socket) => {
    socket.on('error', () => {}); // it is reset
    socket.on('data', (bytes: Buffer) => heard.push(bytes.toString()));
  });
  rig.net.at(netnsOf(server)).appDialled = () => rig.tell({ policies: [aPolicy('deny', principal('client'))] });
  const { status, line } = await answerTo(rig, { authority: '10.0.0.2:8080' });
  assert.deepEqual([status, heard, line?.response_flags, line?.policy], [401, [], 'DENY', 'shop/p']);
});

test('B12: an accepted CONNECT is answered with the baggage of the destination, after the app has accepted', async () => {
  const order: string[] = [];
  const rig = await setUp((socket) => {
    order.push('app');
    ECHO(socket);
  });
  const { status, baggage, socket } = await answerTo(rig, { authority: '10.0.0.2:8080' });
  order.push(`${status}`);
  assert.match(baggage, /k8s\.namespace\.name=shop/);
  assert.match(baggage, /service\.name=server/);
  const received = receivedBy(socket);
  socket.end('hello');
  await until(received.ended);
  assert.deepEqual([received.text(), order], ['hello', ['app', '200']]);
  await settle();
  const line = rig.access();
  assert.deepEqual(
    [line.direction, line['src.identity'], line['dst.addr'], line['dst.workload'], line.bytes_sent, line.bytes_recv, line.error],
    ['inbound', CLIENT, '10.0.0.2:8080', 'server', 5, 5, undefined],
  );
});

test('B23: the host of a service means the target port, its own namespace first', async () => {
  const rig = await setUp();
  const foreign = { ...cart, namespace: 'web', hostname: cart.hostname };
  const both = new Map([...endpointOf(foreign, 9090), ...endpointOf(cart)]);
  rig.tell({ workloads: [{ ...server, services: both }], services: [foreign] });
  assert.equal((await answerTo(rig, { authority: `${cart.hostname}:80` })).status, 200);
  assert.equal(rig.net.dials[0]?.to, '10.0.0.2:8080');
});

const clients = [
  { name: 'the forwarded client', client: '10.0.9.1:55555', sees: '10.0.9.1:55555' },
  { name: 'the peer, when the forwarded client is somebody else', client: '10.0.9.2:55555', sees: '10.0.9.1:41000' },
  { name: 'the peer, when what is forwarded is no address', client: 'nonsense', sees: '10.0.9.1:41000' },
];
for (const { name, client, sees } of clients) {
  test(`B50: the app sees ${name}`, async () => {
    const seen: MemorySocket[] = [];
    const rig = await setUp((socket) => void seen.push(socket.on('error', () => {})));
    await answerTo(rig, { authority: '10.0.0.2:8080', from: '10.0.9.1:41000', client });
    assert.equal(`${seen[0]?.remoteAddress}:${seen[0]?.remotePort}`, sees);
  });
}

test('policy sees the address of the forwarded client', async () => {
  const rig = await setUp();
  rig.tell({ policies: [aPolicy('deny', { sourceIps: [{ base: parseIp('10.0.9.1'), length: 32 }] })] });
  assert.equal((await answerTo(rig, { authority: '10.0.0.2:8080' })).status, 401);
  assert.equal((await answerTo(rig, { authority: '10.0.0.2:8080', from: '10.0.9.2:1' })).status, 200);
});

test('B3: a peer of another trust domain gets no tunnel', async () => {
  const rig = await setUp();
  const { status } = await rig.tunnel(server, { authority: '10.0.0.2:8080', peer: 'spiffe://elsewhere/ns/shop/sa/client' });
  assert.deepEqual([status, rig.net.dials], [null, []]);
});

test('a CONNECT before the mesh is known waits for it', async () => {
  const rig = startAgentRig();
  await rig.enroll(server);
  rig.net.at(netnsOf(server)).apps.set(8080, ECHO);
  const answer = await rig.tunnel(server, { authority: '10.0.0.2:8080' });
  assert.equal(answer.status, null);
  rig.tell({ workloads: [server], services: [cart] });
  await settle();
  assert.equal(answer.status, 200);
});

test('a CONNECT to a workload that discovery never names is answered 503 after five seconds', async () => {
  const rig = startAgentRig();
  await rig.enroll(server);
  rig.tell({});
  const answer = await rig.tunnel(server, { authority: '10.0.0.2:8080' });
  rig.clock.advance(5_000);
  await settle();
  assert.deepEqual([answer.status, rig.access().error], [503, 'the control plane does not know this workload']);
});

test('B49: a tunnel that a new policy denies is cut on both sides; one of another client goes on', async () => {
  const apps: MemorySocket[] = [];
  const rig = await setUp((socket) => void apps.push(socket.on('error', () => {})));
  const denied = await rig.tunnel(server, { authority: '10.0.0.2:8080' });
  const kept = await rig.tunnel(server, { authority: '10.0.0.2:8080', peer: 'spiffe://cluster.local/ns/shop/sa/other' });
  rig.tell({ policies: [aPolicy('deny', principal('client'))] });
  await settle();
  assert.deepEqual([denied.socket.destroyed, kept.socket.destroyed], [true, false]);
  assert.deepEqual(
    apps.map(({ destroyed }) => destroyed),
    [true, false],
  );
  assert.equal(rig.access().response_flags, 'DENY');
});

test('B49: a policy that arrives while the app is being connected still cuts the connection', async () => {
  const rig = await setUp();
  const answering = rig.tunnel(server, { authority: '10.0.0.2:8080' });
  await new Promise((resolve) => setImmediate(resolve)); // accepted and under way, not yet answered
  rig.tell({ policies: [aPolicy('deny', principal('client'))] });
  const { status, socket } = await answering;
  assert.equal(status === 401 || socket.destroyed, true);
  assert.equal(rig.access().response_flags, 'DENY');
});

test('plain text is carried when no policy refuses it, and the app sees the client', async () => {
  const seen: string[] = [];
  const rig = await setUp((socket) => {
    seen.push(socket.remoteAddress);
    ECHO(socket);
  });
  const socket = rig.plaintext(server, 8080, '10.9.9.9:5000');
  const received = receivedBy(socket);
  socket.end('hello');
  await until(received.ended);
  await settle();
  assert.deepEqual([received.text(), seen], ['hello', ['10.9.9.9']]);
  const line = rig.access();
  assert.deepEqual([line['src.addr'], line['src.identity'], line['dst.addr']], ['10.9.9.9:5000', undefined, '10.0.0.2:8080']);
});

test('B45: STRICT refuses plain text with a reset, and the kernel remembers, so that the next SYN is refused', async () => {
  const rig = await setUp();
  rig.tell({ policies: [aPolicy('deny', { notPrincipals: [{ kind: 'presence' }] })] });
  const received = receivedBy(rig.plaintext(server, 8080));
  await until(() => received.error() !== null);
  await settle();
  assert.deepEqual([received.error(), rig.access().response_flags, rig.net.dials], ['ECONNRESET', 'DENY', []]);
  const pair = { sourceId: 0, destinationId: rig.agent.ids.of('workload', server.uid), port: 8080 };
  assert.equal(rig.kernel.maps.verdicts.get(pair)?.allow, 0);
  assert.equal((await answerTo(rig, { authority: '10.0.0.2:8080' })).status, 200, 'B45: mutual TLS passes');
});

const STRICT = aPolicy('deny', { notPrincipals: [{ kind: 'presence' }] });

/** A pod that its kubelet asks at port 8080, where only mutual TLS is let in; what a plain connection to a port of it gets. */
async function probedPod() {
  const rig = startAgentRig();
  await rig.enroll(server, { pod: { uid: 'uid-server', ranOutside: false, probed: [8080] } });
  for (const port of [8080, 9090]) rig.net.at(netnsOf(server)).apps.set(port, ECHO);
  rig.tell({ workloads: [server], services: [cart], policies: [STRICT] });
  const answer = async (port: number, client: string): Promise<string> => {
    const socket = rig.plaintext(server, port, client);
    const received = receivedBy(socket);
    socket.end('hello');
    await until(() => received.error() !== null || received.ended());
    return received.error() === null ? received.text() : 'refused';
  };
  return { rig, answer };
}

test('K49: the kubelet hears how a pod is under STRICT, at the ports of its probes and at no other', async () => {
  const { rig, answer } = await probedPod();
  for (const port of [7001, 7002]) rig.kubelet.add(`10.0.0.254:${port}`);
  assert.equal(await answer(8080, '10.0.0.254:7001'), 'hello');
  assert.equal(await answer(9090, '10.0.0.254:7002'), 'refused');
});

test('K53: who only has the address of the node is a stranger, before the kubelet came and after it, and the kernel learns of neither', async () => {
  const { rig, answer } = await probedPod();
  rig.kubelet.add('10.0.0.254:7001');
  assert.equal(await answer(8080, '10.0.0.254:7000'), 'refused');
  assert.equal(await answer(8080, '10.0.0.254:7001'), 'hello');
  assert.equal(await answer(8080, '10.0.0.254:7003'), 'refused');
  const destinationId = rig.agent.ids.of('workload', server.uid);
  assert.equal(rig.kernel.maps.verdicts.get({ sourceId: 0, destinationId, port: 8080 }), null);
  await answer(9090, '10.0.0.254:7004');
  assert.equal(rig.kernel.maps.verdicts.get({ sourceId: 0, destinationId, port: 9090 })?.allow, 0, 'elsewhere it decides alone');
});

test('plain text is not remembered when a policy looks at source addresses', async () => {
  const rig = await setUp();
  rig.tell({ policies: [aPolicy('deny', { sourceIps: [{ base: parseIp('10.9.0.0'), length: 16 }] })] });
  const received = receivedBy(rig.plaintext(server, 8080));
  await until(() => received.error() !== null);
  const valid = rig.kernel.maps.verdicts.entries().filter(([, { generation }]) => generation === rig.agent.generation);
  assert.equal(
    valid.some(([{ sourceId }]) => sourceId === 0),
    false,
  );
  const other = rig.plaintext(server, 8080, '10.8.0.1:1');
  const answer = receivedBy(other);
  other.end('hello');
  await until(answer.ended);
  assert.equal(answer.text(), 'hello');
});

test('a neighbour with a link-local address is reset, and the agent goes on', async () => {
  const rig = await setUp();
  const socket = rig.plaintext(server, 8080);
  Object.assign(socket.other, { remoteAddress: 'fe80::1%eth0' });
  const received = receivedBy(socket);
  await until(() => received.error() !== null);
  const mistakes = rig.lines.filter(({ entry }) => entry !== undefined);
  assert.deepEqual([received.error(), rig.net.dials, mistakes], ['ECONNRESET', [], []]);
  assert.equal((await answerTo(rig, { authority: '10.0.0.2:8080' })).status, 200);
});

test('a mistake of ours resets the connection that showed it, and is told', async () => {
  const rig = await setUp();
  rig.agent.mesh.workload = () => {
    throw new Error('a mistake');
  };
  const received = receivedBy(rig.plaintext(server, 8080));
  await until(() => received.error() !== null);
  const told = rig.lines.find(({ entry }) => entry === 'accept');
  assert.deepEqual([told?.level, String(told?.err)], ['error', 'Error: a mistake']);
});

test('B9: plain text to a port of the agent is reset', async () => {
  const rig = await setUp();
  const received = receivedBy(rig.plaintext(server, 15_008));
  await until(() => received.error() !== null);
  await settle();
  assert.match(String(rig.access().error), /recursive call/);
});

test('plain text to a port that nobody listens on is reset', async () => {
  const rig = await setUp();
  const received = receivedBy(rig.plaintext(server, 9));
  await until(() => received.error() !== null);
  await settle();
  assert.match(String(rig.access().error), /ECONNREFUSED/);
  assert.equal(rig.agent.carried, 0);
});

test('an app that resets is a reset for the client of the tunnel', async () => {
  const rig = await setUp((socket) => void socket.resetAndDestroy());
  const { socket } = await rig.tunnel(server, { authority: '10.0.0.2:8080' });
  await until(() => socket.destroyed);
  await settle();
  assert.match(String(rig.access().error), /ECONNRESET/);
  assert.equal(rig.agent.carried, 0);
});

test('B48: a policy in dry run decides nothing, and leaves one line and one count of what it would have done', async () => {
  const rig = await setUp();
  rig.tell({ policies: [{ ...aPolicy('deny', principal('client')), dryRun: true }] });
  const before = rig.agent.meters.total('weft_dry_run_decisions_total');
  const { status } = await answerTo(rig, { authority: '10.0.0.2:8080' });
  assert.equal(status, 200);
  const line = rig.lines.findLast(({ message }) => message === 'a policy in dry run would have decided');
  assert.deepEqual([line?.policy, line?.rule, line?.decision, line?.['dst.workload']], ['shop/p', 0, 'deny', 'server']);
  assert.equal(rig.agent.meters.total('weft_dry_run_decisions_total'), before + 1);
});
