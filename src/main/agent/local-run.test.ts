import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { endpointOf, place, started } from '#main/control/control-rig.testing.ts';
import { SILENT_LOG } from '#model/effects/log.ts';
import { aWorkload } from '#model/mesh/mesh-fixtures.testing.ts';
import { requestOf } from '#node-agent/agent-rig.testing.ts';
import { expectedUid } from '#node-agent/enrollment/local-run/sandbox-names.ts';
import { workloadStore } from '#node-agent/enrollment/local-run/workload-store.ts';
import { nodePaths } from '#node-agent/node-places.ts';
import { RegistryClient } from '#platform/grpc/control-clients.ts';
import { openSandboxes, stateFile } from './local-run.ts';

const CART = requestOf(aWorkload('cart', ['10.0.0.1']));
const WEB = requestOf(aWorkload('web', ['10.0.0.2']));

/** A directory, gone after the test. */
function aDirectory(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'weft-local-run-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

test('the list of workloads is on disk, whole, for root alone, and nothing else is left beside it', async (t) => {
  const directory = aDirectory(t);
  const path = join(directory, 'workloads.json');
  const store = workloadStore(stateFile(path));
  assert.deepEqual(await store.load(), []);
  await Promise.all([store.save([CART]), store.save([CART, WEB])]);
  assert.deepEqual(await store.load(), [CART, WEB]);
  assert.deepEqual([statSync(path).mode & 0o777, readdirSync(directory)], [0o600, ['workloads.json']]);
});

test('a write that fails leaves the old list', async (t) => {
  const path = join(aDirectory(t), 'workloads.json');
  const store = workloadStore(stateFile(path));
  await store.save([CART]);
  mkdirSync(`${path}.new`); // in the way of the new file
  await assert.rejects(store.save([WEB]), { code: 'WEFT_STATE' });
  assert.deepEqual(JSON.parse(readFileSync(path, 'utf8')), [CART]);
});

test('a list that is a directory, or damaged, is an error with a remedy, never an empty list', async (t) => {
  const directory = aDirectory(t);
  await assert.rejects(workloadStore(stateFile(directory)).load(), { code: 'WEFT_STATE', remedy: 'check the run directory' });
  const path = join(directory, 'workloads.json');
  writeFileSync(path, '[{');
  await assert.rejects(workloadStore(stateFile(path)).load(), { code: 'WEFT_STATE', message: `${path} is damaged` });
  chmodSync(path, 0o600);
});

const PLACE = {
  node: 'node-1',
  runDir: '/nowhere',
  bpffs: '/sys/fs/bpf',
  cgroup: '/cgroup',
  pool4: '10.41.0.0/24',
  pool6: 'fd41::/64',
};

test('sandboxes are described without touching the machine, and a pool that is none is refused', async () => {
  const paths = await nodePaths(PLACE, async () => '/cgroup');
  const settings = { place: PLACE, paths, clusterDomain: 'cluster.local', noNatFor: ['10.0.0.0/8'], log: SILENT_LOG };
  assert.equal(typeof openSandboxes(settings).prepareNode, 'function');
  assert.throws(() => openSandboxes({ ...settings, place: { ...PLACE, pool4: 'nonsense' } }), { code: 'WEFT_SANDBOX_POOL' });
});

test('the uid that was foreseen is the one that a real control plane gives', async (t) => {
  const control = await started(await place(t));
  const registry = new RegistryClient(await endpointOf(control, 'node-1'), 'node-1');
  const { name, namespace, serviceAccount, labels, addresses } = CART;
  const told = { name, namespace, serviceAccount, labels, addresses, enrolled: true, nativeTunnel: false };
  assert.deepEqual((await registry.sync([told], [])).uids, [expectedUid('Kubernetes', CART)]);
  await registry.sync([], []); // and is gone again, so that nothing is written when the test ends
});
