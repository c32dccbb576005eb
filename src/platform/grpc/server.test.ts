import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { connect as http2 } from 'node:http2';
import { connect as dial, type Socket } from 'node:net';
import test, { type TestContext } from 'node:test';
import { connect } from 'node:tls';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { CertificateAuthority, type ServerCertificate } from '#control-plane/ca/authority.ts';
import { SILENT_LOG } from '#model/effects/log.ts';
import { MemoryStore } from '#model/effects/memory-store.testing.ts';
import { createMishaps, type Mishaps, SILENT_MISHAPS } from '#model/effects/mishaps.ts';
import { DOOR_LIMITS } from '#model/guard/door.ts';
import { Doorkeeper } from '#model/guard/doorkeeper.ts';
import type { MeshDelta } from '#model/mesh/mesh-state.ts';
import { systemClock } from '#platform/clock.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import { IstioCertificateResponseSchema } from '#proto/ca_pb.js';
import { DeltaDiscoveryRequestSchema, DeltaDiscoveryResponseSchema, ResourceSchema } from '#proto/discovery_pb.js';
import { SyncWorkloadsResponseSchema } from '#proto/weft_pb.js';
import { encodeService } from '#protocol/xds/encoded-resource.ts';
import { RpcError } from '#protocol/xds/resource-fault.ts';
import { sampleService } from '#protocol/xds/sample-mesh.testing.ts';
import type { DiscoveryListener, DiscoveryStream } from '#protocol/xds/server-session.ts';
import { ADDRESS_TYPE } from '#protocol/xds/type-urls.ts';
import type { ControlEndpoint } from './control-channel.ts';
import { CaClient } from './control-clients.ts';
import { DiscoveryClient } from './discovery-client.ts';
import { type ControlHandlers, serveControl } from './server.ts';
import { DELTA_STREAM } from './service-definitions.ts';

const authority = await CertificateAuthority.open({
  store: new MemoryStore(),
  given: null,
  trustDomain: 'cluster.local',
  clock: systemClock,
  log: SILENT_LOG,
});
const asked = {
  csrPem: 'csr',
  identity: { trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: 'web' },
  ttlSeconds: 60,
};

/** Waits for something that has no event of its own. */
async function eventually(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve));
}

async function issue(): Promise<ServerCertificate> {
  return authority.issueServer({ dnsNames: [], ips: ['127.0.0.1'] });
}

/** A server whose only useful call answers with what it was asked; `changes` replaces handlers. */
async function serving(t: TestContext, changes: Partial<ControlHandlers<string>> = {}, mishaps: Mishaps = SILENT_MISHAPS) {
  const handlers: ControlHandlers<string> = {
    authenticate: async (header) => header ?? '',
    discover: () => assert.fail('no stream is opened here'),
    createCertificate: async (caller, { csr }) => create(IstioCertificateResponseSchema, { certChain: [caller, csr] }),
    syncWorkloads: async () => create(SyncWorkloadsResponseSchema),
    ...changes,
  };
  const clock = new SteppedClock();
  const closed: string[] = [];
  const door = new Doorkeeper({ limits: DOOR_LIMITS, clock, isKnown: () => false, onClosed: (cause) => closed.push(cause) });
  const server = await serveControl({
    host: '127.0.0.1',
    port: 0,
    certificate: await issue(),
    handlers,
    door,
    log: SILENT_LOG,
    mishaps,
  });
  t.after(() => server.close(0));
  let token = 'one';
  const endpoint: ControlEndpoint = {
    address: server.address,
    rootsPem: async () => authority.rootsPem,
    token: async () => token,
    serverName: null,
    clusterId: 'Kubernetes',
  };
  const client = new CaClient(endpoint, { impersonate: true });
  t.after(() => client.close());
  const carry = (next: string) => {
    token = next;
  };
  return { server, client, carry, clock, door, closed, endpoint };
}

test('the token is read again for each call', async (t) => {
  const { client, carry } = await serving(t);
  assert.deepEqual(await client.fetch(asked), ['Bearer one', 'csr']);
  carry('two\n');
  assert.deepEqual(await client.fetch(asked), ['Bearer two', 'csr']);
});

test('F10: calls that are the first at the same time are all answered', async (t) => {
  const { client } = await serving(t);
  const answers = await Promise.all(Array.from({ length: 5 }, () => client.fetch(asked)));
  assert.deepEqual(answers, Array(5).fill(['Bearer one', 'csr']));
});

test('B57: the request carries the lifetime and the identity that is asked for', async (t) => {
  const { client } = await serving(t, {
    createCertificate: async (_caller, { validityDuration, metadata }) =>
      create(IstioCertificateResponseSchema, { certChain: [String(validityDuration), String(metadata?.ImpersonatedIdentity)] }),
  });
  assert.deepEqual(await client.fetch(asked), ['60', 'spiffe://cluster.local/ns/shop/sa/web']);
});

test('a status reaches the client with its remedy; what broke inside does not', async (t) => {
  const failures = [new RpcError('permission-denied', 'not yours'), new Error('the password is hunter2')];
  const { client } = await serving(t, {
    async createCertificate() {
      throw failures.shift() ?? assert.fail();
    },
  });
  await assert.rejects(client.fetch(asked), {
    code: 'WEFT_CONTROL_PLANE',
    message: /PERMISSION_DENIED: not yours$/,
    remedy: /token/,
  });
  await assert.rejects(client.fetch(asked), { message: /INTERNAL: internal error of the control plane$/ });
});

/** Follows discovery over a stream of its own; `onMesh` hears of each change. */
function following(t: TestContext, endpoint: ControlEndpoint, mishaps: Mishaps, onMesh: (delta: MeshDelta) => void) {
  const node = { id: 'ztunnel~1.1.1.1~a.b~b.svc.cluster.local', metadata: {} };
  const options = { endpoint, node, waypoint: null, clock: systemClock, log: SILENT_LOG, mishaps, onMesh };
  const discovery = new DiscoveryClient(options);
  t.after(() => discovery.stop());
  discovery.start();
  return discovery;
}

/** Answers each request with one service, in a version that `planted` may make fail. */
function answering(planted: { open: boolean; receive: boolean }) {
  const encoded = encodeService(sampleService());
  const resource = fromBinary(ResourceSchema, encoded.wire);
  return (_caller: string, stream: DiscoveryStream): DiscoveryListener => {
    if (planted.open) throw new Error('planted');
    return {
      receive({ typeUrl, responseNonce }) {
        if (planted.receive) throw new Error('planted');
        if (responseNonce !== '') return;
        const resources = typeUrl === ADDRESS_TYPE ? [resource] : [];
        stream.send([
          Buffer.from(
            toBinary(DeltaDiscoveryResponseSchema, create(DeltaDiscoveryResponseSchema, { typeUrl, nonce: 'n', resources })),
          ),
        ]);
      },
      drained() {},
      closed() {},
    };
  };
}

test('S1: a client that stops reading is handed one response, and the next when it reads on', async (t) => {
  const payload = Buffer.alloc(1_024 * 1_024, 1);
  const response = create(DeltaDiscoveryResponseSchema, {
    typeUrl: ADDRESS_TYPE,
    nonce: 'n',
    resources: [{ name: 'large', resource: { typeUrl: ADDRESS_TYPE, value: payload } }],
  });
  const message = Buffer.from(toBinary(DeltaDiscoveryResponseSchema, response));
  let sent = 0;
  const discover = (_caller: string, stream: DiscoveryStream): DiscoveryListener => {
    const send = () => {
      if (sent < 8) stream.send([message]);
      sent += 1;
    };
    return { receive: send, drained: send, closed() {} };
  };
  const { endpoint } = await serving(t, { discover });
  // Not gRPC's own client: that one reads on, into memory.
  const session = http2(`https://${endpoint.address}`, { ca: authority.rootsPem, checkServerIdentity: () => undefined });
  t.after(() => session.destroy());
  const stream = session.request({ ':method': 'POST', ':path': DELTA_STREAM.path, 'content-type': 'application/grpc' });
  stream.pause();
  const asks = toBinary(DeltaDiscoveryRequestSchema, create(DeltaDiscoveryRequestSchema, { typeUrl: ADDRESS_TYPE }));
  stream.write(Buffer.from([0, 0, 0, 0, asks.length, ...asks]));
  await eventually(() => sent > 0);
  await new Promise((resolve) => setTimeout(resolve, 200)); // nothing tells that nothing happens
  assert.equal(sent, 1);
  let read = 0;
  stream.on('data', (bytes: Buffer) => {
    read += bytes.length;
  });
  stream.resume();
  await eventually(() => read === 8 * (message.length + 5));
});

for (const where of ['open', 'receive'] as const) {
  test(`S17: a mistake over one stream of discovery (${where}) ends that one, is counted, and the next call is served`, async (t) => {
    const lines: string[] = [];
    const mishaps = createMishaps({ ...SILENT_LOG, error: (fields) => void lines.push(JSON.stringify(fields)) }, systemClock);
    const planted = { open: where === 'open', receive: where === 'receive' };
    const { client, endpoint } = await serving(t, { discover: answering(planted) }, mishaps);
    const heard: number[] = [];
    const discovery = following(t, endpoint, SILENT_MISHAPS, ({ services }) => void heard.push(services.size));
    await eventually(() => (mishaps.counts().get('call') ?? 0) > 0);
    assert.deepEqual(await client.fetch(asked), ['Bearer one', 'csr'], 'another call of the same moment');
    assert.deepEqual([heard, discovery.status().connected], [[], false]);
    planted.open = false;
    planted.receive = false;
    await discovery.synced;
    assert.deepEqual(heard, [1]);
    assert.match(lines[0] ?? '', /"entry":"call"/);
  });
}

for (const when of ['at once', 'later'] as const) {
  test(`S17: a change that a client cannot put in force (${when}) is counted, and told to it again until it can`, async (t) => {
    const mishaps = createMishaps(SILENT_LOG, systemClock);
    const { endpoint } = await serving(t, { discover: answering({ open: false, receive: false }) });
    let tries = 0;
    const discovery = following(t, endpoint, mishaps, () => {
      if (tries++ >= 2) return;
      if (when === 'later') return Promise.reject(new Error('planted'));
      throw new Error('planted');
    });
    await eventually(() => tries === 3 && discovery.status().connected);
    await discovery.synced;
    assert.equal(mishaps.counts().get('discovery'), 2);
  });
}

test('S17: a mistake over one call ends that one with INTERNAL, is counted, and the next is answered', async (t) => {
  const mishaps = createMishaps(SILENT_LOG, systemClock);
  let calls = 0;
  const { client } = await serving(
    t,
    {
      async createCertificate(caller) {
        if (calls++ === 0) throw new TypeError('planted');
        return create(IstioCertificateResponseSchema, { certChain: [caller] });
      },
    },
    mishaps,
  );
  const [first, second] = await Promise.allSettled([client.fetch(asked), client.fetch(asked)]);
  assert.deepEqual([first.status, second.status].sort(), ['fulfilled', 'rejected']);
  assert.equal(mishaps.counts().get('call'), 1);
});

test('C13: no message is read before the token is accepted', async (t) => {
  let reads = 0;
  const { client } = await serving(t, {
    async authenticate() {
      throw new RpcError('unauthenticated', 'authentication failed');
    },
    async createCertificate() {
      reads += 1;
      return create(IstioCertificateResponseSchema);
    },
  });
  const large = { ...asked, csrPem: 'x'.repeat(32 * 1024 * 1024) };
  await assert.rejects(client.fetch(large), { message: /UNAUTHENTICATED: authentication failed$/ });
  assert.equal(reads, 0);
});

test('a replaced certificate is what new connections see', async (t) => {
  const { server } = await serving(t);
  const port = Number(server.address.split(':')[1]);
  const served = () =>
    new Promise<string | undefined>((resolve, reject) => {
      const socket = connect({ host: '127.0.0.1', port, ca: authority.rootsPem, ALPNProtocols: ['h2'] }, () => {
        resolve(socket.getPeerX509Certificate()?.fingerprint256);
        socket.destroy();
      }).on('error', reject);
    });
  const next = await issue();
  const before = await served();
  server.replaceCertificate(next);
  assert.notEqual(before, new X509Certificate(next.chainPem).fingerprint256);
  assert.equal(await served(), new X509Certificate(next.chainPem).fingerprint256);
});

test('a port that is taken is refused by its address', async (t) => {
  const { server } = await serving(t);
  const port = Number(server.address.split(':')[1]);
  const handlers = {
    authenticate: () => assert.fail(),
    discover: () => assert.fail(),
    createCertificate: () => assert.fail(),
    syncWorkloads: () => assert.fail(),
  };
  const door = new Doorkeeper({ limits: DOOR_LIMITS, clock: new SteppedClock(), isKnown: () => false });
  const options = {
    host: '127.0.0.1',
    port,
    certificate: await issue(),
    handlers,
    door,
    log: SILENT_LOG,
    mishaps: SILENT_MISHAPS,
  };
  await assert.rejects(serveControl(options), {
    code: 'WEFT_LISTEN',
  });
});

const addresses = ['', 'host', 'host:0', ':15012', 'unix:relative'];
for (const address of addresses) {
  test(`"${address}" is refused as the address of a control plane`, async () => {
    const endpoint = {
      address,
      rootsPem: async () => authority.rootsPem,
      token: async () => 't',
      serverName: null,
      clusterId: '',
    };
    await assert.rejects(new CaClient(endpoint, { impersonate: true }).fetch(asked), { code: 'WEFT_CONTROL_ADDRESS' });
  });
}

test('roots that are no certificate are refused before anything is sent', async () => {
  const endpoint = {
    address: '127.0.0.1:1',
    rootsPem: async () => 'nothing',
    token: async () => 't',
    serverName: null,
    clusterId: '',
  };
  await assert.rejects(new CaClient(endpoint, { impersonate: true }).fetch(asked), { code: 'WEFT_CONTROL_ROOTS' });
});

/** Dials the server and does no more than `begin`; resolves when the server has closed it. */
function stranger(t: TestContext, address: string, begin: (port: number) => Socket): { socket: Socket; closed: Promise<void> } {
  const socket = begin(Number(address.slice(address.lastIndexOf(':') + 1)));
  socket.on('error', () => {});
  socket.resume();
  t.after(() => socket.destroy());
  return { socket, closed: new Promise((resolve) => socket.once('close', () => resolve())) };
}

const silent: { name: string; begin(port: number): Socket }[] = [
  { name: 'says nothing', begin: (port) => dial(port, '127.0.0.1') },
  {
    name: 'sends half a ClientHello',
    begin: (port) => {
      const socket = dial(port, '127.0.0.1');
      socket.write(Buffer.from([22, 3, 1, 2, 0, 1]));
      return socket;
    },
  },
  { name: 'ends its handshake and says nothing', begin: (port) => secure(port) },
  {
    name: 'begins HTTP/2 and asks for nothing',
    begin: (port) => {
      const socket = secure(port);
      socket.write(Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0])]));
      return socket;
    },
  },
];
function secure(port: number): Socket {
  return connect({ port, host: '127.0.0.1', ca: authority.rootsPem, ALPNProtocols: ['h2'], rejectUnauthorized: false });
}

for (const { name, begin } of silent) {
  test(`a client that ${name} is closed after ten seconds, and one with a token stays`, async (t) => {
    const { server, client, clock, door, closed } = await serving(t);
    const before = stranger(t, server.address, begin);
    await eventually(() => door.waiting === 1);
    await new Promise((resolve) => setTimeout(resolve, 50)); // whatever it sends has arrived: its time runs on all the same
    assert.deepEqual(await client.fetch(asked), ['Bearer one', 'csr']);
    assert.equal(door.waiting, 1);
    clock.advance(10_000);
    await before.closed;
    assert.deepEqual(closed, ['late']);
    assert.deepEqual(await client.fetch(asked), ['Bearer one', 'csr']);
  });
}

test('a client whose tokens are no good is closed after a few', async (t) => {
  const { client, closed, door } = await serving(t, {
    authenticate: async () => {
      throw new RpcError('unauthenticated', 'authentication failed');
    },
  });
  for (let call = 0; call < 4; call++) await assert.rejects(client.fetch(asked), { message: /UNAUTHENTICATED/ });
  assert.equal(door.waiting, 1);
  await assert.rejects(client.fetch(asked), { code: 'WEFT_CONTROL_PLANE' });
  await eventually(() => door.waiting === 0);
  assert.deepEqual(closed, []);
});
