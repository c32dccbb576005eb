import assert from 'node:assert/strict';
import { once } from 'node:events';
import net, { type AddressInfo, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { parseIp } from '#model/address/ip.ts';
import { SILENT_LOG } from '#model/effects/log.ts';
import { SILENT_MISHAPS } from '#model/effects/mishaps.ts';
import { DOOR_LIMITS } from '#model/guard/door.ts';
import { Doorkeeper } from '#model/guard/doorkeeper.ts';
import { formatIdentity, type Identity, parseIdentity } from '#model/identity/identity.ts';
import { ProcessShares } from '#model/share/process-shares.ts';
import { Meters } from '#model/telemetry/meters.ts';
import { memoryKernel } from '#node-agent/kernel/memory-kernel.testing.ts';
import { systemClock } from '#platform/clock.ts';
import { createTestCa } from '#platform/hbone/test-ca.testing.ts';
import { NodeIo } from '#platform/io/node/node-io.ts';
import { HandedSockets } from '#platform/linux/netns/handed-sockets.ts';
import { asDuplex } from '#protocol/stream/duplex.ts';
import { carryEffects } from './carry-effects.ts';
import { agentEffects, type EffectParts } from './effects.ts';

const WEB = parseIdentity('spiffe://cluster.local/ns/shop/sa/web');
const CART = parseIdentity('spiffe://cluster.local/ns/shop/sa/cart');
const io = new NodeIo(systemClock, SILENT_MISHAPS);
const LOOPBACK = parseIp('127.0.0.1');

/** The real effects over a kernel in memory; `asked` and `dropped` are the identities of certificates. */
async function setUp() {
  const ca = await createTestCa();
  const asked: string[] = [];
  const dropped: string[] = [];
  const certificates = {
    get: (identity: Identity) => {
      asked.push(identity.serviceAccount);
      return ca.issue(formatIdentity(identity));
    },
    current: () => null,
    drop: (identity: Identity) => void dropped.push(identity.serviceAccount),
  } as unknown as EffectParts['certificates'];
  const datapath = {} as EffectParts['datapath']; // only what opens namespaces needs it
  const former = new HandedSockets(null);
  const silent = { log: SILENT_LOG, mishaps: SILENT_MISHAPS };
  const parts = {
    io,
    kernel: memoryKernel(),
    datapath,
    certificates,
    former,
    ...silent,
    spares: [],
    threads: 0,
    nameservers: [],
  };
  const data = carryEffects(
    { ...{ io, certificates, clock: systemClock, ...silent }, maps: datapath.maps },
    { meters: new Meters('agent'), shares: new ProcessShares(1), threads: 1 },
  );
  return { effects: agentEffects(parts), data, asked, dropped };
}

async function listen(t: TestContext, accept: (socket: Socket) => void): Promise<number> {
  const server = net.createServer({ allowHalfOpen: true, pauseOnConnect: true }, accept).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  return (server.address() as AddressInfo).port;
}

async function connect(port: number): Promise<Socket> {
  const socket = net.connect({ host: '127.0.0.1', port, allowHalfOpen: true });
  await once(socket, 'connect');
  return socket;
}

test('certificates come from the cache, and go from it with the last workload', async () => {
  const { effects, asked, dropped } = await setUp();
  assert.deepEqual((await effects.credentials(WEB)).identity, WEB);
  effects.forgetCredentials(WEB);
  assert.deepEqual([asked, dropped], [['web'], ['web']]);
});

test('the pool and the server that are made here speak to each other, each with its own certificate', async (t) => {
  const { data, asked } = await setUp();
  const server = data.createHboneServer({
    credentials: () => data.credentials(CART),
    trustDomain: 'cluster.local',
    onTunnel: (tunnel) => void asDuplex(tunnel.accept('')).end(`you are ${tunnel.peer.serviceAccount}`),
    onRefused: () => {},
    door: new Doorkeeper({ limits: DOOR_LIMITS, clock: systemClock, isKnown: () => false }),
  });
  const port = await listen(t, (socket) => server.handle(io.adopt(socket)));
  const pool = data.createPool(async () => ({ kind: 'open', stream: io.adopt(await connect(port)) }));
  t.after(() => {
    pool.close(true);
    server.close();
  });
  const request = { authority: '127.0.0.1:80', client: '127.0.0.1:1', serviceHost: null, baggage: '', traceparent: '' };
  const outcome = await pool.open({ source: WEB, peers: [CART], address: LOOPBACK, port }, request);
  assert.equal(outcome.kind, 'open');
  if (outcome.kind !== 'open') return;
  assert.equal(Buffer.concat(await asDuplex(outcome.stream).toArray()).toString(), 'you are web');
  assert.deepEqual([...asked].sort(), ['cart', 'web']);
  const stranger = await pool.open({ source: WEB, peers: [WEB], address: LOOPBACK, port }, request);
  assert.equal(stranger.kind === 'failed' ? stranger.flag : stranger.kind, 'TLS_FAILURE');
});

test('what nobody may foresee is not the same twice', async () => {
  const { data } = await setUp();
  assert.notDeepEqual(data.randomBytes(16), data.randomBytes(16));
  assert.equal(data.randomBytes(16).length, 16);
});
