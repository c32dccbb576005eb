import assert from 'node:assert/strict';
import test from 'node:test';
import { create } from '@bufbuild/protobuf';
import { TokenAuthority } from '#control-plane/authentication/tokens.ts';
import { CertificateAuthority } from '#control-plane/ca/authority.ts';
import { KeptAllocations } from '#control-plane/kept-allocations.ts';
import { AddressPools } from '#control-plane/registry/address-pools.ts';
import { NodeRegistry } from '#control-plane/registry/node-registry.ts';
import { LastGoodVersions } from '#control-plane/sources/last-good.ts';
import { SILENT_LOG } from '#model/effects/log.ts';
import { MemoryStore } from '#model/effects/memory-store.testing.ts';
import type { StateStore } from '#model/effects/state-store.ts';
import { UNSPREAD } from '#model/resilience/retry.ts';
import { systemClock } from '#platform/clock.ts';
import { SyncWorkloadsRequestSchema } from '#proto/weft_pb.js';

/** A store whose process ends at a write: that one is done or not, and nothing after it. */
class MortalStore implements StateStore {
  readonly #store: StateStore;
  readonly #dieAt: number;
  readonly #isDone: boolean;
  writes = 0;

  constructor(store: StateStore, dieAt: number, isDone: boolean) {
    this.#store = store;
    this.#dieAt = dieAt;
    this.#isDone = isDone;
  }

  read(name: string): Promise<string | null> {
    return this.#store.read(name);
  }

  list(prefix: string): Promise<string[]> {
    return this.#store.list(prefix);
  }

  async write(name: string, text: string, options: { secret: boolean }): Promise<void> {
    await this.#act(() => this.#store.write(name, text, options));
  }

  async remove(name: string): Promise<void> {
    await this.#act(() => this.#store.remove(name));
  }

  async #act(act: () => Promise<void>): Promise<void> {
    this.writes++;
    if (this.writes < this.#dieAt || (this.writes === this.#dieAt && this.#isDone)) await act();
    // What was killed neither goes on nor hears of an error.
    if (this.writes >= this.#dieAt) await new Promise(() => {});
  }
}

const PROOF = { namespace: 'istio-system', serviceAccount: 'weft-agent', node: 'node-1', grant: null };
const ANYTHING = { identities: ['*/*'], addresses: ['0.0.0.0/0', '::/0'], waypoints: true };

async function parts(store: StateStore) {
  const authority = await CertificateAuthority.open({
    ...{ store, given: null, trustDomain: 'cluster.local', clock: systemClock, log: SILENT_LOG },
  });
  const tokens = await TokenAuthority.open(store, systemClock);
  const pools = await AddressPools.open(store);
  const allocations = new KeptAllocations(store, SILENT_LOG, { clock: systemClock, random: UNSPREAD });
  const given = await allocations.load();
  const lastGood = new LastGoodVersions(store, SILENT_LOG, { clock: systemClock, random: UNSPREAD });
  const good = await lastGood.load();
  const registry = new NodeRegistry({
    store,
    log: SILENT_LOG,
    apply: () => {},
    uidOf: ({ name }) => name,
    isAlive: () => false,
    world: {
      reserved: { rootNamespace: 'istio-system', isWaypoint: () => false },
      waypointLabel: 'gateway',
      serviceAt: () => null,
      nodeAt: () => null,
      configuredAt: () => null,
    },
    onRefusal: () => {},
  });
  await registry.load();
  registry.admitLoaded();
  return { authority, tokens, pools, allocations, given, lastGood, good, registry };
}

/** What those outside were told, in the order in which it was: it holds after every restart. */
type Told = {
  root?: string;
  token?: string;
  ranges?: readonly string[];
  workloads?: string[];
  revoked?: string;
  kept?: true;
};

/** A first start, and one write of every kind. */
async function live(store: StateStore, told: Told): Promise<void> {
  const { authority, tokens, pools, allocations, lastGood, registry } = await parts(store);
  told.root = authority.rootsPem;
  told.token = await tokens.mint(PROOF, 60_000);
  told.ranges = await pools.assign('node-1', []);
  for (const names of [['web'], ['web', 'db'], ['db']]) {
    const workloads = names.map((name) => ({ name, namespace: 'shop', addresses: [`10.1.0.${name.length}`] }));
    const request = create(SyncWorkloadsRequestSchema, { node: 'node-1', workloads });
    await registry.sync({ ...PROOF, grant: ANYTHING, untilMs: null }, request);
    told.workloads = names;
  }
  allocations.keep(new Map([['shop/a', []]]));
  await allocations.settled();
  lastGood.keep('a.yaml', [{ kind: 'AuthorizationPolicy' }]);
  await lastGood.settled();
  told.kept = true;
  const lost = await tokens.mint({ ...PROOF, node: 'node-2' }, 60_000);
  await tokens.revoke('node-2');
  told.revoked = lost;
}

/** Whatever was told before the end is so after the next start; and that start is a whole one. */
async function holds(store: StateStore, told: Told): Promise<void> {
  const { authority, tokens, pools, good, registry } = await parts(store);
  if (told.root !== undefined) assert.equal(authority.rootsPem, told.root);
  if (told.token !== undefined) assert.equal((await tokens.verify(told.token)).node, 'node-1');
  if (told.ranges !== undefined) assert.deepEqual(await pools.assign('node-1', []), told.ranges);
  const names = registry
    .nodes()
    .get('node-1')
    ?.map(({ name }) => name);
  if (told.workloads !== undefined) {
    // The write that it died at may be done.
    const steps = ['web', 'web,db', 'db'];
    const at = steps.indexOf(told.workloads.join());
    assert.ok([steps[at], steps[at + 1]].includes(names?.join()), `${names?.join()} after ${told.workloads.join()}`);
  }
  if (told.kept !== undefined) assert.equal(good.get('a.yaml')?.length, 1);
  if (told.revoked !== undefined) await assert.rejects(tokens.verify(told.revoked), { status: 'unauthenticated' });
}

test('C75: killed at any write of a first start or after it, done or not, the next start has everything that anybody was told', async () => {
  const whole = new MortalStore(new MemoryStore(), Number.POSITIVE_INFINITY, true);
  await live(whole, {});
  assert.ok(whole.writes >= 10, `${whole.writes} writes`);
  for (let dieAt = 1; dieAt <= whole.writes; dieAt++) {
    for (const isDone of [false, true]) {
      const disk = new MemoryStore();
      const told: Told = {};
      const store = new MortalStore(disk, dieAt, isDone);
      void live(store, told); // never ends
      while (store.writes < dieAt) await new Promise((resolve) => setImmediate(resolve));
      for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
      await holds(disk, { ...told }).catch((cause: unknown) => {
        throw new Error(`killed at write ${dieAt}, which was ${isDone ? '' : 'not '}done`, { cause });
      });
      // And what comes next goes on from there.
      const after: Told = {};
      await live(disk, after);
      if (told.root !== undefined) assert.equal(after.root, told.root);
      await holds(disk, after);
    }
  }
});
