import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseIp } from '#model/address/ip.ts';
import { type Log, SILENT_LOG } from '#model/effects/log.ts';
import { HOOK, REASON } from '#model/kernel/abi.ts';
import { EMPTY_MATCH } from '#model/mesh/authorization.ts';
import { aMesh, aService, aWorkload, endpointOf } from '#model/mesh/mesh-fixtures.testing.ts';
import { IdTable } from '#model/path/ids.ts';
import { Meters } from '#model/telemetry/meters.ts';
import { PeerSeries } from '#model/telemetry/peer-series.ts';
import { type EventView, logRefusal } from './events.ts';

const cart = aService('cart', ['240.0.0.1']);
const client = aWorkload('client', ['10.0.0.1']);
const server = aWorkload('server', ['10.0.0.2'], { services: endpointOf(cart) });
const mesh = aMesh([client, server], [cart]);
const ids = new IdTable();
const match = { ...EMPTY_MATCH, serviceAccounts: [{ namespace: 'shop', serviceAccount: 'client' }], destinationPorts: [8080] };
mesh.apply({
  workloads: new Map(),
  services: new Map(),
  policies: new Map([
    [
      'shop/p',
      {
        name: 'p',
        namespace: 'shop',
        scope: 'namespace',
        action: 'deny',
        dryRun: false,
        rules: [{ clauses: [{ matches: [match] }] }],
      },
    ],
  ]),
});

function lineOf(
  reason: number,
  destinationPort: number,
  nameOf: EventView['names']['nameOf'] = () => null,
): Record<string, unknown> {
  const lines: Record<string, unknown>[] = [];
  const log: Log = { ...SILENT_LOG, warn: (fields) => void lines.push({ ...fields }) };
  const event = {
    timeNs: 0n,
    sourceId: ids.of('workload', client.uid),
    destinationId: ids.of('workload', server.uid),
    source: null,
    destination: parseIp('240.0.0.1'),
    sourcePort: 0,
    destinationPort,
    reason,
    hook: HOOK.connect,
  };
  const meters = new Meters('agent');
  logRefusal(event, { mesh, ids, log, meters, peers: new PeerSeries(meters), names: { nameOf } });
  assert.equal(meters.total('weft_refusals_total'), 1, 'each refusal is counted');
  assert.equal(lines.length, 1);
  return lines[0] ?? {};
}

test('a denial names policy and rule, although the app dialled the service port and the policy names the workload port', () => {
  const line = lineOf(REASON.denied, 80);
  assert.deepEqual([line.policy, line.rule, line.response_flags], ['shop/p', 0, 'DENY']);
});
test('F18: a refusal of the kernel names the service that was dialled', () =>
  assert.equal(lineOf(REASON.denied, 80)['dst.service'], cart.hostname));
test('another refusal says why', () => assert.equal(lineOf(REASON.noSuchPort, 81).error, 'the service has no such port'));
for (const { ports, says } of [
  { ports: [], says: /does not know the destination; it was answered for db.example.com$/ },
  { ports: [443, 80], says: /; it was answered for db.example.com, which the mesh knows by port 443, 80$/ },
])
  test(`B70: what is not registered is told by the name that it was asked for, known by ${ports.length} ports`, () =>
    assert.match(
      String(lineOf(REASON.notRegistered, 81, () => ({ name: 'db.example.com', ports: new Set(ports) })).error),
      says,
    ));
test('an unknown reason is still logged', () => assert.equal(lineOf(99, 81).error, 'reason 99'));
