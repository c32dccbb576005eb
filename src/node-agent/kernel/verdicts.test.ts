import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseIp } from '#model/address/ip.ts';
import type { Clock } from '#model/effects/clock.ts';
import { SILENT_LOG } from '#model/effects/log.ts';
import type { LiveFlow } from '#model/kernel/maps.ts';
import { type Authorization, EMPTY_MATCH, type Match } from '#model/mesh/authorization.ts';
import { aService, aWorkload, deltaOf, endpointOf } from '#model/mesh/mesh-fixtures.testing.ts';
import { MeshState } from '#model/mesh/mesh-state.ts';
import { identityOf } from '#model/mesh/workload.ts';
import { IdTable } from '#model/path/ids.ts';
import { AGENT } from '#model/settings/agents.ts';
import { Meters } from '#model/telemetry/meters.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import { tellWidened } from './dry-run-tally.ts';
import { memoryKernel } from './memory-kernel.testing.ts';
import { Verdicts } from './verdicts.ts';

const cart = aService('cart', ['240.0.0.1']);
const client = aWorkload('client', ['10.0.0.1', 'fd00::1']);
const server = aWorkload('server', ['10.0.0.2', 'fd00::2'], { services: endpointOf(cart) });
const NO_TIME: Clock = { nowMs: () => 0, monotonicMs: () => 0, after: () => () => {}, every: () => () => {} };

function setUp(clock: Clock = NO_TIME) {
  const kernel = memoryKernel();
  const mesh = new MeshState();
  mesh.apply(deltaOf([client, server], [cart]));
  const ids = new IdTable();
  const destroyed: LiveFlow[] = [];
  const destroy = (flow: LiveFlow): boolean => destroyed.push(flow) > 0;
  const verdicts = new Verdicts(
    kernel,
    {
      mesh,
      local: () => [client, server].map((one) => mesh.workload(one.uid) ?? one),
      idOf: ({ uid }) => ids.of('workload', uid),
      party: (id) => {
        const record = mesh.workload(ids.nameOf(id) ?? '');
        return record === null ? null : { identity: identityOf(record), record, isInClear: false, probed: [] };
      },
      lastId: () => ids.last,
      isWhole: () => true,
      datagramsClear: false,
      destroy,
    },
    { clock, log: SILENT_LOG, meters: new Meters('agent') },
  );
  const key = { sourceId: ids.of('workload', client.uid), destinationId: ids.of('workload', server.uid), port: 8080 };
  return { kernel, mesh, ids, verdicts, destroyed, key };
}

function deny(mesh: MeshState, match: Partial<Match>): void {
  const policy: Authorization = {
    name: 'p',
    namespace: 'shop',
    scope: 'namespace',
    action: 'deny',
    dryRun: false,
    rules: [{ clauses: [{ matches: [{ ...EMPTY_MATCH, ...match }] }] }],
  };
  mesh.apply({ workloads: new Map(), services: new Map(), policies: new Map([['shop/p', policy]]) });
}
const PRINCIPAL = { principals: [{ kind: 'exact' as const, value: 'cluster.local/ns/shop/sa/client' }] };

/** A flow from the first workload to the port of the second. */
const FLOW = {
  netnsCookie: 1n,
  source: parseIp('10.0.0.1'),
  destination: parseIp('10.0.0.2'),
  sourcePort: 40_000,
  destinationPort: 8080,
};

test('pairs of this node get their verdict before the first connection, plain text included', () => {
  const { kernel, verdicts, key } = setUp();
  verdicts.fill(new Set([server.uid]));
  assert.deepEqual(kernel.maps.verdicts.get(key), { generation: 1, allow: 1 });
  assert.deepEqual(kernel.maps.verdicts.get({ ...key, sourceId: 0 }), { generation: 1, allow: 1 });
});

test('B44: each DENY rule that denies more than was written has its line', () => {
  const lines: object[] = [];
  const rules = [{ clauses: [{ matches: [EMPTY_MATCH] }] }, { clauses: [] }];
  const policy: Authorization = { name: 'p', namespace: 'shop', scope: 'namespace', action: 'deny', dryRun: false, rules };
  const told = new Map([
    ['shop/p', policy],
    ['shop/gone', null],
  ]);
  tellWidened(told, { ...SILENT_LOG, warn: (fields) => void lines.push(fields) });
  assert.deepEqual(lines, [{ policy: 'shop/p', rule: 0 }]);
});

test('a change writes the new verdicts first, then raises the generation', () => {
  const { kernel, mesh, verdicts, key } = setUp();
  verdicts.publish(false);
  verdicts.fill(new Set([server.uid]));
  deny(mesh, PRINCIPAL);
  verdicts.renew();
  assert.equal(kernel.maps.config.get(0)?.generation, 2);
  assert.deepEqual(kernel.maps.verdicts.get(key), { generation: 2, allow: 0 });
});

test('the first verdicts of an agent that follows another push out those whose numbers nobody uses again', () => {
  const clock = new SteppedClock();
  const { kernel, verdicts, key } = setUp(clock);
  const former = { sourceId: 77, destinationId: key.destinationId, port: 8080 };
  kernel.maps.verdicts.set(former, { generation: 1, allow: 1 });
  verdicts.renew();
  clock.advance(AGENT.secondSweepMs);
  assert.notEqual(kernel.maps.verdicts.get(former), null, 'a walk through the whole map is not for each change');
  verdicts.renew(true);
  clock.advance(AGENT.secondSweepMs);
  assert.equal(kernel.maps.verdicts.get(former), null);
  assert.deepEqual(kernel.maps.verdicts.get(key), { generation: 3, allow: 1 });
});

test('an agent that has stopped pushes nothing out any more', () => {
  const clock = new SteppedClock();
  const { kernel, verdicts, key } = setUp(clock);
  verdicts.renew(true);
  kernel.maps.verdicts.set(key, { generation: 99, allow: 1 });
  verdicts.leave(88);
  verdicts.stop();
  clock.advance(AGENT.secondSweepMs);
  assert.deepEqual(kernel.maps.verdicts.get(key), { generation: 99, allow: 1 });
});

test('a verdict that depends on the address family is not cached', () => {
  const { mesh, verdicts } = setUp();
  deny(mesh, { destinationIps: [{ base: parseIp('10.0.0.2'), length: 32 }] });
  assert.equal(verdicts.remember(client, server, 8080), false);
});

test('a change of one workload fills its pairs only', () => {
  const { kernel, verdicts } = setUp();
  verdicts.fill(new Set(['k//Pod/shop/other']));
  assert.deepEqual(kernel.maps.verdicts.entries(), []);
  verdicts.fill(new Set([client.uid]));
  assert.equal(kernel.maps.verdicts.entries().length, 1, 'as a source; it has no ports of its own');
});

test('S2: a change of a workload elsewhere looks at no other workload of the mesh', () => {
  const { kernel, mesh, ids, verdicts } = setUp();
  const far = aWorkload('far', ['10.9.0.1'], { node: 'other', services: endpointOf(cart) });
  mesh.apply(deltaOf([far, aWorkload('further', ['10.9.0.2'], { node: 'other' })], []));
  deny(mesh, PRINCIPAL);
  mesh.workloads = () => assert.fail('all workloads were looked at');
  verdicts.fill(new Set([far.uid]));
  const key = { sourceId: ids.of('workload', client.uid), destinationId: ids.of('workload', far.uid), port: 8080 };
  assert.deepEqual(kernel.maps.verdicts.get(key), { generation: 1, allow: 0 });
});

test('B49: live flows that a new policy denies are closed, others are not', () => {
  const { kernel, mesh, verdicts, destroyed, key } = setUp();
  const flow = FLOW;
  const live = { flow, sourceId: key.sourceId, destinationId: key.destinationId, generation: 1, inbound: 0 };
  kernel.maps.flows.set(1n, live);
  kernel.maps.flows.set(2n, { ...live, flow: { ...flow, destinationPort: 9090 } });
  deny(mesh, { ...PRINCIPAL, destinationPorts: [8080] });
  assert.equal(verdicts.closeDenied(), 1);
  assert.deepEqual(
    destroyed.map((one) => one.flow.destinationPort),
    [8080],
  );
});

test('F13: a live flow is not judged by a policy that is named and not known, but when that is there', () => {
  const { kernel, mesh, verdicts, destroyed, key } = setUp();
  const flow = FLOW;
  kernel.maps.flows.set(1n, { flow, sourceId: key.sourceId, destinationId: key.destinationId, generation: 1, inbound: 0 });
  mesh.apply(deltaOf([{ ...server, authorizationPolicies: ['shop/p'] }]));
  verdicts.renew();
  assert.deepEqual([destroyed.length, kernel.maps.verdicts.get(key)], [0, null], 'no verdict either: a new one is asked for');
  deny(mesh, PRINCIPAL);
  verdicts.renew();
  assert.equal(destroyed.length, 1);
});

test('F13: what a known policy denies is closed, whatever else is missing', () => {
  const { kernel, mesh, verdicts, destroyed, key } = setUp();
  const flow = { ...FLOW, sourcePort: 1 };
  kernel.maps.flows.set(1n, { flow, sourceId: key.sourceId, destinationId: key.destinationId, generation: 1, inbound: 0 });
  mesh.apply(deltaOf([{ ...server, authorizationPolicies: ['shop/late'] }]));
  deny(mesh, PRINCIPAL);
  verdicts.renew();
  assert.deepEqual([destroyed.length, kernel.maps.verdicts.get(key)?.allow], [1, 0]);
});

test('a plain-text flow has no identity', () => {
  const { kernel, mesh, verdicts, destroyed, key } = setUp();
  const flow = { ...FLOW, source: parseIp('9.9.9.9'), sourcePort: 1 };
  kernel.maps.flows.set(1n, { flow, sourceId: 0, destinationId: key.destinationId, generation: 1, inbound: 1 });
  deny(mesh, { notPrincipals: [{ kind: 'presence' }] });
  assert.equal(verdicts.closeDenied(), 1);
  assert.equal(destroyed[0]?.inbound, 1);
});

test('S15: one that dials every port of another does not push the verdicts of all others out', () => {
  const { verdicts, kernel } = setUp();
  for (let port = 1; port <= 2 * AGENT.rememberedMax; port++) verdicts.remember(client, server, port);
  assert.equal(kernel.maps.verdicts.entries().length, AGENT.rememberedMax);
  assert.equal(verdicts.remember(null, server, 1), true, 'a stranger is on the account of whom he wants');
  verdicts.renew();
  assert.equal(verdicts.remember(client, server, 1), true, 'and after a change all begin anew');
});
