import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { ANYTHING } from '#main/control/control-rig.testing.ts';
import { freePort, scratch, serving } from '#main/weft-process.testing.ts';
import { messageOf } from '#model/error.ts';
import { RegistryClient } from '#platform/grpc/control-clients.ts';
import { controlClient } from '#platform/local-api/clients.ts';

/** 200 and more with WEFT_KILLS=200, as they are run before a release. */
const KILLS = Number(process.env.WEFT_KILLS ?? 20);
/** A control plane is killed within this time after it began to serve. */
const LIFE_MS_MAX = 300;
const BETWEEN = 3;
/** They come again: there are 255 networks for nodes. */
const NODES = 100;

/** What somebody was told is done. */
type Acknowledged = {
  roots: Set<string>;
  /** Node → ranges that it was given. */
  ranges: Map<string, string>;
  /** Nodes with one registered workload. */
  registered: Set<string>;
  /** Node → a token of it that was revoked. */
  revoked: Map<string, string>;
  services: Set<string>;
};

async function place(t: TestContext, stateDir?: string) {
  const dir = scratch(t);
  const config = join(dir, 'mesh');
  mkdirSync(config);
  const address = `127.0.0.1:${await freePort()}`;
  const socket = join(dir, 'control.sock');
  const state = stateDir ?? join(dir, 'state');
  const args = ['control', '--config', config, '--listen', address, '--socket', socket, '--state-dir', state, '--stats', 'off'];
  const endpointOf = (token: string, rootsPem: string) => ({
    ...{ address, serverName: null, clusterId: 'Kubernetes' },
    rootsPem: async () => rootsPem,
    token: async () => token,
  });
  const register = async (node: string, token: string, rootsPem: string, ip: string) => {
    const registry = new RegistryClient(endpointOf(token, rootsPem), node);
    const workload = { name: node, namespace: 'shop', serviceAccount: 'a', addresses: [ip], labels: {} };
    try {
      return await registry.sync([{ ...workload, enrolled: true, nativeTunnel: false }], []);
    } finally {
      registry.close();
    }
  };
  return { args, api: controlClient(socket), register };
}

type Place = Awaited<ReturnType<typeof place>>;

const serviceOf = (name: string) => ({
  file: 'test',
  line: 1,
  text: `apiVersion: v1\nkind: Service\nmetadata: { name: ${name}, namespace: shop }\nspec: { ports: [{ port: 80 }] }\n`,
  object: { apiVersion: 'v1', kind: 'Service', metadata: { name, namespace: 'shop' }, spec: { ports: [{ port: 80 }] } },
});

/** Everything that a control plane keeps, again and again, until it is gone. */
async function write({ api, register }: Place, told: Acknowledged, first: number): Promise<number> {
  for (let at = first; ; at++) {
    const node = `node-${at % NODES}`;
    try {
      const { token, rootsPem, addresses } = await api.token({ node, ...ANYTHING, addresses: [] });
      told.roots.add(rootsPem);
      assert.equal(addresses.join(), told.ranges.get(node) ?? addresses.join(), `the ranges of ${node}`);
      told.ranges.set(node, addresses.join());
      const [range = ''] = addresses;
      const { refused } = await register(node, token, rootsPem, range.replace(/0\/24$/, '7'));
      assert.deepEqual(refused, []);
      told.registered.add(node);
      const [{ outcome } = { outcome: 'none' }] = await api.apply([serviceOf(`s${at}`)], false);
      assert.equal(outcome, 'created');
      told.services.add(`s${at}`);
      if (at % BETWEEN === 0) {
        await api.revoke(node);
        told.revoked.set(node, token);
      }
    } catch (error) {
      if (error instanceof assert.AssertionError) throw error;
      return at + 1; // it is gone
    }
  }
}

async function check({ api, register }: Place, told: Acknowledged): Promise<void> {
  const { nodes } = await api.status();
  const counts = new Map(nodes.map(({ node, registeredWorkloads }) => [node, registeredWorkloads]));
  const lost = [...told.registered].filter((node) => counts.get(node) !== 1);
  assert.deepEqual(lost, [], 'registrations');
  const names = new Set<string>();
  for (let after: string | null = null; ; ) {
    const { resources, next } = await api.list({ kind: 'Service', namespace: 'shop', name: null, after, objects: false });
    for (const { name } of resources) names.add(name);
    if (next === null) break;
    after = next;
  }
  assert.deepEqual(
    [...told.services].filter((name) => !names.has(name)),
    [],
    'resources',
  );
  for (const [node, ranges] of [...told.ranges].slice(-BETWEEN)) {
    const { rootsPem, addresses } = await api.token({ node, ...ANYTHING, addresses: [] });
    assert.equal(addresses.join(), ranges, `the ranges of ${node}`);
    told.roots.add(rootsPem);
  }
  assert.ok(told.roots.size <= 1, 'one root for ever');
  assert.equal(new Set(told.ranges.values()).size, told.ranges.size, 'no range twice');
  for (const [node, token] of [...told.revoked].slice(-1)) {
    const [rootsPem = ''] = told.roots;
    await assert.rejects(register(node, token, rootsPem, '10.250.0.1'), /UNAUTHENTICATED/, `the revoked token of ${node}`);
  }
}

test(`C75: killed ${KILLS} times at moments of chance, a control plane has everything that anybody was told`, async (t) => {
  const where = await place(t);
  const told: Acknowledged = {
    roots: new Set(),
    ranges: new Map(),
    registered: new Set(),
    revoked: new Map(),
    services: new Set(),
  };
  let next = 1;
  for (let kill = 0; kill < KILLS; kill++) {
    const { child, said, ended } = serving(t, where.args);
    await said('control plane is serving');
    await check(where, told);
    const writing = write(where, told, next);
    writing.catch(() => {}); // awaited once it is killed
    await new Promise((resolve) => setTimeout(resolve, Math.random() * LIFE_MS_MAX));
    child.kill('SIGKILL');
    await ended;
    next = await writing;
  }
  const { said } = serving(t, where.args);
  await said('control plane is serving');
  await check(where, told);
  t.diagnostic(`${told.registered.size} registrations, ${told.revoked.size} revocations, ${told.services.size} resources`);
  assert.ok(told.registered.size >= KILLS / 4, 'it was killed while it wrote');
});

test('C76: on a full disk what runs goes on and says so; on one that is read-only it does not begin', async (t) => {
  const disk = mkdtempSync(join(tmpdir(), 'weft-disk-'));
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=256k,mode=0700', 'weft-test', disk]);
  t.after(() => {
    execFileSync('umount', ['-l', disk]);
    rmSync(disk, { recursive: true });
  });
  const where = await place(t, join(disk, 'state'));
  const { child, said, ended } = serving(t, where.args);
  await said('control plane is serving');
  const { token, rootsPem } = await where.api.token({ node: 'node-1', ...ANYTHING });
  const ballast = join(disk, 'ballast');
  assert.throws(() => writeFileSync(ballast, Buffer.alloc(1 << 20)), { code: 'ENOSPC' });
  assert.deepEqual((await where.register('node-1', token, rootsPem, '10.1.0.1')).refused, [], 'workloads start all the same');
  assert.match((await where.api.status()).outOfDate.join(), /ENOSPC|no space/i);
  await assert.rejects(where.api.token({ node: 'node-2', ...ANYTHING, addresses: [] }), { code: 'WEFT_STATE_DIR' });
  rmSync(ballast);
  await where.register('node-1', token, rootsPem, '10.1.0.2');
  assert.deepEqual(
    (await where.api.status()).outOfDate.filter((text) => /space/i.test(text)),
    [],
  );
  child.kill('SIGKILL');
  await ended;
  execFileSync('mount', ['-o', 'remount,ro', disk]);
  const refused = serving(t, where.args);
  const { code, err } = await refused.ended;
  assert.equal(code, 1);
  assert.match(err, /read-only|EROFS/i);
  assert.match(err, /WEFT_STATE_DIR|WEFT_LOCK|WEFT_FOREIGN_DIRECTORY/);
  execFileSync('mount', ['-o', 'remount,rw', disk]);
  const again = serving(t, where.args);
  await again.said('control plane is serving').catch((error: unknown) => assert.fail(messageOf(error)));
  assert.equal((await where.api.status()).nodes.find(({ node }) => node === 'node-1')?.registeredWorkloads, 1);
});
