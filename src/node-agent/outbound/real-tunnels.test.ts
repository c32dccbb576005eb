import assert from 'node:assert/strict';
import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import type { Dialled } from '#model/effects/byte-stream.ts';
import { SILENT_MISHAPS } from '#model/effects/mishaps.ts';
import { formatIdentity } from '#model/identity/identity.ts';
import { aWorkload } from '#model/mesh/mesh-fixtures.testing.ts';
import { PORT } from '#model/mesh/ports.ts';
import { type AgentRig, aPolicy, netnsOf, principal, startAgentRig } from '#node-agent/agent-rig.testing.ts';
import type { DataEffects } from '#node-agent/effects/data-effects.ts';
import { ECHO, MemoryNet } from '#node-agent/memory-net.testing.ts';
import { type MemorySocket, receivedBy, until } from '#node-agent/memory-sockets.testing.ts';
import { systemClock } from '#platform/clock.ts';
import { createClientPool } from '#platform/hbone/client-pool.ts';
import { createHboneServer } from '#platform/hbone/server.ts';
import { createTestCa } from '#platform/hbone/test-ca.testing.ts';
import { NodeIo } from '#platform/io/node/node-io.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';

const client = aWorkload('client', ['127.0.0.2']);
const server = aWorkload('server', ['127.0.0.3'], { node: 'two' });
const MESH = { workloads: [client, server] };

/** Two agents whose tunnels are the real ones: TLS 1.3 and HTTP/2 over loopback sockets; everything else is in memory. */
async function setUp(t: TestContext) {
  const ca = await createTestCa();
  const clock = new SteppedClock();
  const wires = new MemoryNet(clock);
  const listening = await listenFor(t, wires);
  const credentials: DataEffects['credentials'] = (identity) => {
    const uri = formatIdentity(identity);
    const known = issued.get(uri) ?? ca.issue(uri);
    issued.set(uri, known);
    return known;
  };
  const issued = new Map<string, ReturnType<typeof ca.issue>>();
  const io = new NodeIo(systemClock, SILENT_MISHAPS);
  const dial = async (): Promise<Dialled> => {
    const socket = net.connect({ ...listening, localAddress: '127.0.0.2', allowHalfOpen: true });
    await once(socket, 'connect');
    return { kind: 'open', stream: io.adopt(socket) };
  };
  const transport: Partial<DataEffects> = {
    credentials,
    createPool: () => createClientPool({ io, dial, credentials, clock, random: () => 0, log: silent, mishaps: SILENT_MISHAPS }),
    createHboneServer: (options) => createHboneServer({ ...options, io, clock, log: silent, mishaps: SILENT_MISHAPS }),
  };
  const silent = { debug() {}, info() {}, warn() {}, error() {}, child: () => silent };
  const one = startAgentRig({ net: wires, clock, transport });
  const two = startAgentRig({ node: 'two', net: wires, clock, transport });
  await one.enroll(client);
  await two.enroll(server);
  t.after(() => {
    one.agent.stop();
    two.agent.stop();
  });
  wires.at(netnsOf(server)).apps.set(8080, ECHO);
  for (const rig of [one, two]) rig.tell(MESH);
  return { one, two, wires };
}

/** The wire between the nodes: what arrives at `server`'s address is handed to its agent's HBONE listener. */
async function listenFor(t: TestContext, wires: MemoryNet): Promise<{ host: string; port: number }> {
  const wire = net.createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => {
    const listener = wires.at(netnsOf(server)).listeners.get(PORT.hbone)?.at(-1);
    if (listener === undefined) socket.resetAndDestroy();
    else listener.accept(socket as unknown as MemorySocket);
  });
  wire.listen(0, '127.0.0.3');
  await once(wire, 'listening');
  t.after(() => wire.close());
  return { host: '127.0.0.3', port: (wire.address() as AddressInfo).port };
}

async function hasEnded(rig: AgentRig): Promise<void> {
  await until(() => rig.lines.some(({ message }) => message === 'connection complete'), 'the end of the connection', 200_000);
}

const patiently = (condition: () => boolean, what: string): Promise<void> => until(condition, what, 200_000);

test('B22, B50: a connection travels through real tunnels to the other agent, with both ends and the client told', async (t) => {
  const { one, two, wires } = await setUp(t);
  const socket = one.dial(client, '127.0.0.3:8080');
  const received = receivedBy(socket);
  socket.end('hello');
  await patiently(received.ended, 'the echo');
  assert.equal(received.text(), 'hello');
  await Promise.all([hasEnded(one), hasEnded(two)]);
  assert.equal(wires.dials.at(-1)?.as, `127.0.0.2:${socket.localPort}`);
  assert.equal(two.access()['src.identity'], 'spiffe://cluster.local/ns/shop/sa/client');
  assert.equal(one.access()['dst.identity'], 'spiffe://cluster.local/ns/shop/sa/server');
});

test('B4: an agent that proves another identity than the workload has is not spoken to', async (t) => {
  const { one, wires } = await setUp(t);
  one.tell({ workloads: [{ ...server, serviceAccount: 'somebody-else' }] });
  const received = receivedBy(one.dial(client, '127.0.0.3:8080'));
  await patiently(() => received.error() !== null, 'a reset');
  await hasEnded(one);
  assert.deepEqual([one.access().response_flags, wires.dials], ['TLS_FAILURE', []]);
});

test('B10: a denial of the other agent comes back as one', async (t) => {
  const { one, two } = await setUp(t);
  two.tell({ policies: [aPolicy('deny', principal('client'))] });
  const received = receivedBy(one.dial(client, '127.0.0.3:8080'));
  await patiently(() => received.error() !== null, 'a reset');
  await hasEnded(one);
  assert.deepEqual([one.access().response_flags, two.access().response_flags], ['DENY', 'DENY']);
});

test('B49: a policy of the other agent cuts a tunnel that is open, and the client sees a reset', async (t) => {
  const { one, two } = await setUp(t);
  const socket = one.dial(client, '127.0.0.3:8080');
  const received = receivedBy(socket);
  socket.write('hello');
  await patiently(() => received.text() === 'hello', 'the echo');
  two.tell({ policies: [aPolicy('deny', principal('client'))] });
  await patiently(() => received.error() !== null, 'a reset');
  assert.equal(received.error(), 'ECONNRESET');
});

test('B56: a workload that leaves its node cuts its tunnels', async (t) => {
  const { one, two } = await setUp(t);
  const socket = one.dial(client, '127.0.0.3:8080');
  const received = receivedBy(socket);
  socket.write('hello');
  await patiently(() => received.text() === 'hello', 'the echo');
  two.agent.leave(server.uid);
  await patiently(() => received.error() !== null, 'a reset');
});
