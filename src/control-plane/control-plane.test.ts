import assert from 'node:assert/strict';
import test from 'node:test';
import { create, fromBinary, type Message, type MessageInitShape } from '@bufbuild/protobuf';
import type { Authenticator, Caller, CallOrigin, TokenIssuer } from '#control-plane/authentication/authenticator.ts';
import { CertificateAuthority } from '#control-plane/ca/authority.ts';
import { MeshIndex } from '#control-plane/index/mesh-index.ts';
import { DEFAULT_MESH_OPTIONS } from '#control-plane/index/mesh-options.ts';
import { CRD_FILES, KINDS, MESH } from '#control-plane/kinds/list.ts';
import { AddressPools } from '#control-plane/registry/address-pools.ts';
import { createResourceParser } from '#control-plane/resources/resource-parser.ts';
import { MemorySource, type PlainObject } from '#control-plane/sources/memory-source.testing.ts';
import type { WaypointSpec } from '#control-plane/waypoints/plan.ts';
import type { Log } from '#model/effects/log.ts';
import { MemoryStore } from '#model/effects/memory-store.testing.ts';
import { parseIdentity } from '#model/identity/identity.ts';
import { UNSPREAD } from '#model/resilience/retry.ts';
import { Meters } from '#model/telemetry/meters.ts';
import type { NodeGrant } from '#model/trust/grant.ts';
import { readCrds } from '#platform/files/crds.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import { IstioCertificateRequestSchema } from '#proto/ca_pb.js';
import { DeltaDiscoveryRequestSchema, DeltaDiscoveryResponseSchema } from '#proto/discovery_pb.js';
import { type RegisteredWorkloadSchema, SyncWorkloadsRequestSchema } from '#proto/weft_pb.js';
import { createSigningRequest } from '#protocol/ca/signing-request.ts';
import { decodeResource } from '#protocol/xds/decode-resource.ts';
import { RpcError } from '#protocol/xds/resource-fault.ts';
import { ADDRESS_TYPE, AUTHORIZATION_TYPE, type TypeUrl } from '#protocol/xds/type-urls.ts';
import { ControlPlane } from './control-plane.ts';
import { KeptAllocations } from './kept-allocations.ts';

const parser = createResourceParser(KINDS, await readCrds(CRD_FILES));
const ROOT_NAMESPACE = DEFAULT_MESH_OPTIONS.rootNamespace;

const ANYTHING: NodeGrant = { identities: ['*/*'], addresses: ['0.0.0.0/0', '::/0'], waypoints: true };

/** Each node is a machine of its own. */
function originOf(node: string): CallOrigin {
  return { ip: `10.9.0.${node.slice(-1)}`, instance: node };
}

/** The agent of a node, as an authenticator knows it. */
function agentOf(node: string): Caller {
  return {
    namespace: ROOT_NAMESPACE,
    serviceAccount: 'weft-agent',
    node,
    grant: ANYTHING,
    untilMs: null,
    origin: originOf(node),
  };
}

/** Believes whoever says who he is: `namespace/account/node`. Tokens of that form are what it hands out. */
const credulous: Authenticator & TokenIssuer = {
  async authenticate(header) {
    const [namespace, serviceAccount, node] = (header ?? '').split('/');
    if (namespace === undefined || serviceAccount === undefined) throw new RpcError('unauthenticated', 'authentication failed');
    return { namespace, serviceAccount, node: node ?? null, grant: node === undefined ? null : ANYTHING, untilMs: null };
  },
  revoke: async () => {},
  mint: async ({ namespace, serviceAccount, node }) => [namespace, serviceAccount, ...(node === null ? [] : [node])].join('/'),
};

type Logged = { level: string; fields: Record<string, unknown>; message: string };

function recorder(lines: Logged[]): Log {
  const at = (level: string) => (fields: object, message: string) => void lines.push({ level, fields: { ...fields }, message });
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error'), child: () => recorder(lines) };
}

/** A control plane in memory: objects for its configuration, a stepped clock, processes that are entries of a map. */
async function controlPlane(
  objects: Record<string, PlainObject> = {},
  state = new MemoryStore(),
  clock: SteppedClock = new SteppedClock(),
) {
  const lines: Logged[] = [];
  const log = recorder(lines);
  const mesh = DEFAULT_MESH_OPTIONS;
  const source = new MemorySource(parser, objects);
  const meters = new Meters('control');
  const waypoints = new Map<string, { spec: WaypointSpec; token: string }>();
  const allocations = new KeptAllocations(state, log, { clock, random: UNSPREAD });
  let nonces = 0;
  const control = new ControlPlane({
    kept: null,
    pools: await AddressPools.open(new MemoryStore()),
    index: new MeshIndex({ options: mesh, definitions: MESH, allocations: await allocations.load() }),
    source,
    mesh,
    state,
    allocations,
    authority: await CertificateAuthority.open({ store: state, given: null, trustDomain: mesh.trustDomain, clock, log }),
    authenticator: credulous,
    tokens: credulous,
    runner: {
      start: async (spec, token) => void waypoints.set(spec.name, { spec, token }),
      stop: async ({ name }) => void waypoints.delete(name),
      list: async () => [...waypoints.values()].map(({ spec }) => spec),
    },
    clock,
    log,
    meters,
    newNonce: () => `n${++nonces}`,
  });
  await control.begin();
  const status = () =>
    control.status({
      pid: 1,
      version: '',
      startedAt: '',
      address: '',
      trustDomain: mesh.trustDomain,
      rootNamespace: ROOT_NAMESPACE,
    });
  return { control, source, state, clock, lines, waypoints, meters, status };
}

type Running = Awaited<ReturnType<typeof controlPlane>>;
type RequestInit = Exclude<MessageInitShape<typeof DeltaDiscoveryRequestSchema>, Message>;

/** A client of discovery that keeps up: the names it knows of each type. */
function client({ control, clock }: Running, node = 'node-1') {
  const known = new Map<string, Set<string>>();
  const policies = new Map<string, readonly string[]>();
  const told: number[] = [];
  const ended: RpcError[] = [];
  const listener = control.discover(agentOf(node), {
    peer: '127.0.0.1:1',
    send(parts) {
      const { typeUrl, resources, removedResources } = fromBinary(DeltaDiscoveryResponseSchema, Buffer.concat(parts));
      const names = known.get(typeUrl) ?? new Set();
      for (const { name } of resources) names.add(name);
      for (const name of removedResources) names.delete(name);
      known.set(typeUrl, names);
      for (const { name, resource } of typeUrl === ADDRESS_TYPE ? resources : []) {
        const address = decodeResource(ADDRESS_TYPE, name, resource?.value ?? new Uint8Array());
        if (address.kind === 'workload') policies.set(name, address.workload.authorizationPolicies);
      }
      told.push(new Set([...policies.values()].map((of) => of.join())).size);
      return true;
    },
    end: (error) => ended.push(error),
  });
  const metadata = { NAMESPACE: ROOT_NAMESPACE, NODE_NAME: node };
  const id = `ztunnel~10.0.0.1~agent.${ROOT_NAMESPACE}~${ROOT_NAMESPACE}.svc.cluster.local`;
  const ask = (request: RequestInit) => {
    listener.receive(create(DeltaDiscoveryRequestSchema, { node: { id, metadata }, ...request }));
    clock.advance(1);
  };
  for (const typeUrl of [ADDRESS_TYPE, AUTHORIZATION_TYPE]) ask({ typeUrl });
  /** told: after each response, how many different lists of policies the workloads name that it knows. */
  return { ended, told, names: (typeUrl: TypeUrl) => [...(known.get(typeUrl) ?? [])].sort() };
}

const RATINGS: PlainObject = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'ratings', namespace: 'shop' },
  spec: { selector: { app: 'ratings' }, ports: [{ port: 80 }] },
};
const POD: PlainObject = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'ratings-1', namespace: 'shop', labels: { app: 'ratings', 'istio.io/dataplane-mode': 'weft' } },
  spec: { nodeName: 'node-1', serviceAccountName: 'ratings', containers: [{ name: 'app', image: 'none' }] },
  status: { phase: 'Running', podIP: '10.1.0.7', conditions: [{ type: 'Ready', status: 'True' }] },
};
const DENY: PlainObject = {
  apiVersion: 'security.istio.io/v1',
  kind: 'AuthorizationPolicy',
  metadata: { name: 'deny', namespace: 'shop' },
  spec: { action: 'DENY', selector: { matchLabels: { app: 'ratings' } }, rules: [{}] },
};
const GATEWAY: PlainObject = {
  apiVersion: 'gateway.networking.k8s.io/v1',
  kind: 'Gateway',
  metadata: { name: 'waypoint', namespace: 'shop' },
  spec: { gatewayClassName: 'weft-waypoint', listeners: [{ name: 'mesh', port: 15008, protocol: 'HBONE' }] },
};
const ROUTE: PlainObject = {
  apiVersion: 'gateway.networking.k8s.io/v1',
  kind: 'HTTPRoute',
  metadata: { name: 'ratings', namespace: 'shop' },
  spec: { parentRefs: [{ group: '', kind: 'Service', name: 'ratings' }] },
};
const SERVICE_KEY = 'shop/ratings.shop.svc.cluster.local';
const POD_UID = 'Kubernetes//Pod/shop/ratings-1';
const WEB_UID = 'Kubernetes/weft.dev/Workload/shop/web';

/** What a node reports of itself. */
function sync({ control }: Running, node: string, ...workloads: MessageInitShape<typeof RegisteredWorkloadSchema>[]) {
  return control.syncWorkloads(agentOf(node), create(SyncWorkloadsRequestSchema, { node, workloads }));
}
const WEB = { name: 'web', namespace: 'shop', serviceAccount: 'web', addresses: ['10.41.0.2'], enrolled: true };

const { csrPem } = await createSigningRequest(parseIdentity('spiffe://cluster.local/ns/shop/sa/any'));

function certificateFor({ control }: Running, caller: Caller, account: string) {
  const metadata = { ImpersonatedIdentity: `spiffe://cluster.local/ns/shop/sa/${account}` };
  return control.createCertificate(caller, create(IstioCertificateRequestSchema, { csr: csrPem, metadata }));
}

test('what its source holds at the start is served, and each change of it within the same turn', async () => {
  const running = await controlPlane({ service: RATINGS, pod: POD });
  const agent = client(running);
  assert.deepEqual(agent.names(ADDRESS_TYPE), [POD_UID, SERVICE_KEY]);
  running.source.put('deny', DENY);
  assert.deepEqual(agent.names(AUTHORIZATION_TYPE), ['shop/deny']);
  running.source.remove('deny');
  running.source.remove('pod');
  assert.deepEqual([agent.names(AUTHORIZATION_TYPE), agent.names(ADDRESS_TYPE)], [[], [SERVICE_KEY]]);
});

/** Once `busy`, every look at it costs a millisecond, so that long work takes many turns, which are taken one by one. */
class BusyClock extends SteppedClock {
  busy = false;
  readonly #turns: (() => void)[] = [];
  #spentMs = 0;

  override monotonicMs(): number {
    if (this.busy) this.#spentMs += 1;
    return super.monotonicMs() + this.#spentMs;
  }

  override after(delayMs: number, task: () => void): () => void {
    if (!this.busy || delayMs > 0) return super.after(delayMs, task);
    this.#turns.push(task);
    return () => {};
  }

  /** Whether there was one. */
  turn(): boolean {
    const task = this.#turns.shift();
    task?.();
    return task !== undefined;
  }
}

test('a change that touches much takes many turns, in which others are served; to clients it is one', async () => {
  const clock = new BusyClock();
  const objects: Record<string, PlainObject> = { service: RATINGS };
  for (let at = 0; at < 400; at++) {
    const status = { ...(POD.status as object), podIP: `10.1.${at >> 8}.${at & 255}` };
    objects[`pod-${at}`] = { ...POD, metadata: { ...POD.metadata, name: `pod-${at}` }, status };
  }
  const running = await controlPlane(objects, new MemoryStore(), clock);
  const agents = [client(running)];
  const [first] = agents;
  const before = first?.told.length;
  clock.busy = true;
  // Each of the 400 workloads names the policy from now on.
  running.source.put('deny', DENY);
  let turns = 0;
  for (let more = true; more; more = clock.turn()) {
    if (turns++ < 5) assert.equal(first?.told.length, before, 'half of it is told to nobody');
    if (turns === 5)
      assert.equal((await certificateFor(running, agentOf('node-1'), 'ratings')).certChain.length, 2, 'others are served');
    if (turns % 4 === 0) agents.push(client(running, `node-${turns}`));
  }
  clock.busy = false;
  await running.control.settled();
  clock.advance(0);
  assert.ok(turns > 100, `${turns} turns`);
  for (const one of agents) {
    assert.deepEqual(one.names(AUTHORIZATION_TYPE), ['shop/deny']);
    assert.equal(one.names(ADDRESS_TYPE).length, 401);
    assert.ok(
      one.told.every((lists) => lists <= 1),
      'all of them name it, or none does',
    );
  }
});

test('a bad object is refused alone: the good one of before stays in force, and the finding names the object', async () => {
  const running = await controlPlane({ service: RATINGS, deny: DENY });
  const agent = client(running);
  running.source.put('deny', { ...DENY, spec: { action: 'DENNY' } });
  running.source.put('pod', POD);
  assert.deepEqual([agent.names(AUTHORIZATION_TYPE), agent.names(ADDRESS_TYPE)], [['shop/deny'], [POD_UID, SERVICE_KEY]]);
  const [finding, ...others] = running.status().findings;
  assert.deepEqual(others, []);
  assert.deepEqual(finding?.origin, {
    kind: 'object',
    object: { kind: 'AuthorizationPolicy', namespace: 'shop', name: 'deny' },
    fieldPath: 'spec.action',
  });
  assert.match(finding?.message ?? '', /the last good version stays in force/);
});

test('a finding is told to the log once, with its object; mended and broken again, it is told again', async () => {
  const running = await controlPlane({ deny: DENY });
  const bad = { ...DENY, spec: { action: 'DENNY' } };
  for (const object of [bad, bad, DENY, bad]) running.source.put('deny', object);
  running.source.put('pod', POD);
  const told = running.lines.filter(({ level }) => level === 'error');
  assert.deepEqual(
    told.map(({ fields }) => fields),
    Array.from({ length: 2 }, () => ({ code: 'WEFT_FIELD_INVALID', object: 'AuthorizationPolicy shop/deny spec.action' })),
  );
});

test('a problem that only the index sees has its object for a place, too', async () => {
  const running = await controlPlane({
    service: { ...RATINGS, metadata: { ...RATINGS.metadata, labels: { 'istio.io/use-waypoint': 'none-such' } } },
  });
  assert.deepEqual(
    running.status().findings.map(({ severity, code, origin }) => ({ severity, code, origin })),
    [
      {
        severity: 'warning',
        code: 'WEFT_WAYPOINT_UNUSABLE',
        origin: {
          kind: 'object',
          object: { kind: 'Service', namespace: 'shop', name: 'ratings' },
          fieldPath: 'metadata.labels["istio.io/use-waypoint"]',
        },
      },
    ],
  );
});

test('conditions are reported back through the source as they change, and the status shows what was reported', async () => {
  const running = await controlPlane({ route: ROUTE });
  const reported = () =>
    running.source.reports
      .splice(0)
      .flatMap((changed) =>
        [...changed].map(([name, list]) => `${name}: ${list.map(({ type, status }) => `${type} ${status}`)}`),
      );
  const before = reported();
  assert.ok(
    before.some((line) => /^HTTPRoute shop\/ratings: .*Accepted False/.test(line)),
    before.join('\n'),
  );
  running.source.put('service', RATINGS);
  const after = reported();
  assert.ok(
    after.some((line) => /^HTTPRoute shop\/ratings: .*Accepted True/.test(line)),
    after.join('\n'),
  );
  assert.ok(
    running
      .status()
      .conditions.some(
        ({ resource, type, status }) => `${resource} ${type} ${status}` === 'HTTPRoute shop/ratings Accepted True',
      ),
  );
  running.source.put('pod', POD);
  assert.deepEqual(reported(), [], 'what did not change is not reported again');
  running.source.remove('route');
  assert.deepEqual([reported(), running.status().conditions], [['HTTPRoute shop/ratings: '], []]);
});

test('a source that cannot be read is told to the log; what it told before is served on', async () => {
  const running = await controlPlane({ service: RATINGS });
  running.source.fail(new Error('the API server does not answer'));
  assert.equal(running.lines.at(-1)?.message, 'configuration cannot be read');
  assert.deepEqual(client(running).names(ADDRESS_TYPE), [SERVICE_KEY]);
});

test('C15: what nodes registered before the last stop is served from the first moment', async () => {
  const first = await controlPlane({ service: RATINGS });
  await sync(first, 'node-1', WEB);
  await first.control.close();
  const second = await controlPlane({ service: RATINGS }, first.state);
  assert.deepEqual(client(second, 'node-2').names(ADDRESS_TYPE), [WEB_UID, SERVICE_KEY]);
  assert.deepEqual(second.status().nodes, [
    { node: 'node-1', connected: false, registeredWorkloads: 1 },
    { node: 'node-2', connected: true, registeredWorkloads: 0 },
  ]);
});

test('a service keeps the address it was given over a restart', async () => {
  const first = await controlPlane({ service: RATINGS });
  await first.control.close();
  const kept = first.state.texts.get('allocations.json') ?? '';
  assert.match(kept, /"shop\/ratings":\["240\.240\./);
  const moved = kept.replace(/240\.240\.\d+\.\d+/, '240.240.7.7');
  first.state.texts.set('allocations.json', moved);
  const second = await controlPlane({ service: RATINGS }, first.state);
  await second.control.close();
  assert.equal(second.state.texts.get('allocations.json'), moved);
});

test('who calls is whoever the authenticator says; the grounds of a refusal are its own', async () => {
  const { control } = await controlPlane();
  assert.deepEqual(await control.authenticate('istio-system/weft-agent/node-1', originOf('node-1')), agentOf('node-1'));
  await assert.rejects(control.authenticate(undefined, originOf('node-1')), { status: 'unauthenticated' });
});

test('a certificate is issued for what runs on the node of the caller, from the moment it is known', async () => {
  const running = await controlPlane();
  await assert.rejects(certificateFor(running, agentOf('node-1'), 'ratings'), { status: 'unauthenticated' });
  running.source.put('pod', POD);
  assert.match((await certificateFor(running, agentOf('node-1'), 'ratings')).certChain[0] ?? '', /BEGIN CERTIFICATE/);
  await assert.rejects(certificateFor(running, agentOf('node-2'), 'ratings'), { status: 'unauthenticated' });
  await assert.rejects(certificateFor(running, agentOf('node-2'), 'web'), { status: 'unauthenticated' });
  await sync(running, 'node-2', WEB);
  await certificateFor(running, agentOf('node-2'), 'web');
});

test('a Gateway in the source gets a waypoint with a token of its own identity, and loses it when it goes', async () => {
  const running = await controlPlane({ gateway: GATEWAY });
  const settle = async () => {
    for (let turn = 0; turn < 20; turn++) await Promise.resolve();
  };
  running.control.waypoints?.start();
  await settle();
  assert.deepEqual(
    [...running.waypoints.values()].map(({ spec, token }) => [spec.namespace, spec.name, token]),
    [['shop', 'waypoint', 'shop/waypoint']],
  );
  running.source.remove('gateway');
  await settle();
  assert.equal(running.waypoints.size, 0);
  await running.control.waypoints?.stop();
});

test('an agent is given a token for its node alone, for a year unless told otherwise', async () => {
  const { control, clock } = await controlPlane();
  const { token, expiresAtMs } = await control.agentTokens.mint('node-7', ANYTHING, null);
  assert.deepEqual(await control.authenticate(token, originOf('node-7')), agentOf('node-7'));
  assert.equal(expiresAtMs - clock.nowMs(), 30 * 86_400_000);
  assert.equal((await control.agentTokens.mint('node-7', ANYTHING, 60_000)).expiresAtMs - clock.nowMs(), 60_000);
});

test('what cannot be kept for the next start is told as out of date, and keeps nobody from working', async () => {
  const state = new MemoryStore();
  const running = await controlPlane({}, state);
  state.write = async () => {
    throw new Error('no space left on device');
  };
  running.source.put('service', RATINGS);
  await sync(running, 'node-1', WEB);
  await running.control.close();
  assert.deepEqual(
    running.status().outOfDate.filter((line) => /space/.test(line)),
    ['no space left on device', 'no space left on device'],
  );
});

test('its end ends every stream, and nothing of the source is taken any more', async () => {
  const running = await controlPlane();
  const agent = client(running);
  running.control.endStreams();
  await running.control.close();
  running.source.put('service', RATINGS);
  assert.deepEqual([agent.ended.map(({ status }) => status), running.status().resources.addresses], [['unavailable'], 0]);
});

const ENTRY: PlainObject = {
  apiVersion: 'networking.istio.io/v1',
  kind: 'WorkloadEntry',
  metadata: { name: 'thief', namespace: 'bank' },
  spec: { address: '10.41.0.2', serviceAccount: 'thief' },
};

test('what a node runs keeps its address, whatever a resource written later claims; and it takes none that one has', async () => {
  const running = await controlPlane();
  await sync(running, 'node-1', WEB);
  running.source.put('entry', ENTRY);
  running.source.put('service', { ...RATINGS, spec: { ...(RATINGS.spec as object), clusterIP: '10.41.0.2' } });
  const { findings } = running.status();
  assert.deepEqual(
    findings.map(({ code, resource, message }) => [code, resource, message.split(';')[0]]),
    [
      ['WEFT_ADDRESS_CONFLICT', 'Service shop/ratings', 'address 10.41.0.2 is that of Workload shop/web'],
      ['WEFT_ADDRESS_CONFLICT', 'WorkloadEntry bank/thief', 'address 10.41.0.2 is that of Workload shop/web'],
    ],
  );
  running.source.put('other', { ...ENTRY, metadata: { name: 'first', namespace: 'bank' }, spec: { address: '10.41.0.7' } });
  const late = { ...WEB, name: 'late', addresses: ['10.41.0.7'] };
  const { refused } = await sync(running, 'node-1', WEB, late);
  assert.deepEqual(
    refused.map(({ cause, uid }) => [cause, uid]),
    [['address-held', 'Kubernetes/weft.dev/Workload/shop/late']],
  );
});
