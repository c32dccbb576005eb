import assert from 'node:assert/strict';
import test from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import type { AutoGateway } from '#control-plane/index/index-delta.ts';
import { SILENT_LOG } from '#model/effects/log.ts';
import { KUBERNETES } from '#model/settings/kubernetes.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import type { KubeObject } from '#protocol/kubernetes/objects.ts';
import { AutoGateways } from './auto-gateways.ts';
import { autoGatewayStep } from './plan.ts';

const LINGER_MS = KUBERNETES.autoWaypointLingerMs;
const WANTED: AutoGateway = {
  ...{ namespace: 'shop', name: 'weft-auto', isNeeded: true, isThere: false, isReady: false, isActivated: false },
};
const THERE = { ...WANTED, isThere: true };
const ACTIVE = { ...THERE, isReady: true, isActivated: true };

const steps: { name: string; gateway: AutoGateway; unneededMs?: number; want: ReturnType<typeof autoGatewayStep> }[] = [
  { name: 'needed and not there', gateway: WANTED, want: { kind: 'create' } },
  {
    name: 'not needed and not there',
    gateway: { ...WANTED, isNeeded: false },
    unneededMs: 0,
    want: { kind: 'wait', ms: null },
  },
  { name: 'starting', gateway: THERE, want: { kind: 'wait', ms: null } },
  { name: 'ready for the first time', gateway: { ...THERE, isReady: true }, want: { kind: 'activate' } },
  { name: 'in force', gateway: ACTIVE, want: { kind: 'wait', ms: null } },
  { name: 'in force, all pods lost', gateway: { ...ACTIVE, isReady: false }, want: { kind: 'wait', ms: null } },
  {
    name: 'just not needed any more',
    gateway: { ...ACTIVE, isNeeded: false },
    unneededMs: 0,
    want: { kind: 'wait', ms: LINGER_MS },
  },
  { name: 'not needed for long', gateway: { ...ACTIVE, isNeeded: false }, unneededMs: LINGER_MS, want: { kind: 'remove' } },
];
for (const { name, gateway, unneededMs = null, want } of steps) {
  test(`step: ${name}`, () => assert.deepEqual(autoGatewayStep(gateway, unneededMs), want));
}

/** An API server in memory, of Gateways alone. */
function rig() {
  const clock = new SteppedClock();
  const writes: string[] = [];
  const server = { refuses: false, conflicts: 0, object: null as KubeObject | null };
  const gateways = new AutoGateways({
    writer: {
      get: async () => server.object,
      async create(_kind, object) {
        writes.push('create');
        if (server.refuses) throw new Error('exceeded quota');
        server.object = object;
        return object;
      },
      async replace(_kind, object) {
        if (server.conflicts-- > 0) return null;
        writes.push('replace');
        server.object = object;
        return object;
      },
      async remove() {
        writes.push('remove');
        server.object = null;
        return true;
      },
    },
    clock,
    random: () => 0.5,
    log: SILENT_LOG,
  });
  /** Told, and as much later as one unit is left alone after a write. */
  const tell = async (gateway: AutoGateway | null): Promise<void> => {
    gateways.change(new Map([['shop', gateway]]));
    clock.advance(KUBERNETES.statusAgainMs);
    await turn(); // what was begun is done, however many answers it took
  };
  return { clock, writes, server, gateways, tell };
}

test('K129: only who leads makes it; when it is ready, that is written on it, and what its users have written stays', async () => {
  const { gateways, writes, server, tell } = rig();
  await tell(WANTED);
  assert.deepEqual(writes, []);
  gateways.start();
  await tell(WANTED);
  assert.deepEqual(server.object?.metadata.annotations, { 'weft.dev/auto': 'true' });
  assert.deepEqual(server.object?.metadata.labels, { 'istio.io/waypoint-for': 'service' });
  await tell(THERE);
  if (server.object !== null) server.object.metadata.annotations = { 'weft.dev/auto': 'true', note: 'ours' };
  server.conflicts = 2;
  await tell({ ...THERE, isReady: true });
  assert.deepEqual(server.object?.metadata.annotations, { 'weft.dev/auto': 'true', note: 'ours', 'weft.dev/activated': 'true' });
  assert.deepEqual(writes, ['create', 'replace']);
});

test('K131: it stays for a while after the last that needed it, and comes to no harm when that returns', async () => {
  const { clock, gateways, writes, tell } = rig();
  gateways.start();
  await tell({ ...ACTIVE, isNeeded: false });
  await clock.advance(LINGER_MS / 2);
  await tell(ACTIVE);
  await clock.advance(LINGER_MS);
  assert.deepEqual(writes, []);
  await tell({ ...ACTIVE, isNeeded: false });
  await clock.advance(LINGER_MS);
  assert.deepEqual(writes, ['remove']);
});

test('one that cannot be made is tried again, later and later, until nothing needs it', async () => {
  const { clock, gateways, writes, server, tell } = rig();
  server.refuses = true;
  gateways.start();
  await tell(WANTED);
  for (let s = 0; s < 20; s++) await clock.advance(1_000);
  const tries = writes.length;
  assert.ok(tries > 1 && tries < 15, `${tries} tries in 20 s`);
  await tell(null);
  for (let s = 0; s < 120; s++) await clock.advance(1_000);
  assert.equal(writes.length, tries);
});
