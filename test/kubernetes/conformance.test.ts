import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, describe, type TestContext, test } from 'node:test';
import { waitUntil } from '../../testbed/processes/wait.ts';
import { cluster, SKIP_LONG } from './cluster.testing.ts';
import { InstalledMesh } from './installed.testing.ts';
import { makeNamespace } from './pods.testing.ts';
import { MeshSuite, SKIP_SUITE, SUITE, SUITE_NAMESPACES, sumOf } from './suite.testing.ts';

/** Tests of the mesh in the suite of v1.6.3. */
const TESTS = 22;
/** How often in a row, on the same cluster. */
const ROUNDS = Number(process.env.WEFT_CONFORMANCE_ROUNDS ?? 1);
/** Where reports are written; absent: they are read and thrown away. */
const REPORTS = process.env.WEFT_CONFORMANCE_REPORTS;
const READY_MS = 60_000;
/** K159: it takes Kubernetes a minute; this machine may be busy. */
const GONE_MS = 150_000;
const [OWN = ''] = SUITE_NAMESPACES;
const IN_MESH = { 'istio.io/dataplane-mode': 'weft' };
const GATEWAY = `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: waypoint, namespace: ${OWN} }
spec:
  gatewayClassName: weft-waypoint
  listeners: [{ name: mesh, port: 15008, protocol: HBONE, allowedRoutes: { namespaces: { from: All } } }]
`;

describe('mesh conformance of the Gateway API', { skip: SKIP_SUITE !== false ? SKIP_SUITE : SKIP_LONG }, () => {
  const running = cluster();
  let suite: MeshSuite;

  before(async () => {
    if (SKIP_SUITE !== false || SKIP_LONG !== false || SUITE === null) return;
    await InstalledMesh.install(running());
    suite = await MeshSuite.prepare(running(), SUITE);
  });

  for (let round = 1; round <= ROUNDS; round++) {
    test(`K155: every test passes with a declared waypoint, and none is skipped (${round})`, async (t) => {
      for (const name of SUITE_NAMESPACES) await makeNamespace(running(), name);
      await running().api.apply(GATEWAY);
      await waitUntil('waypoint', READY_MS, async () => {
        const programmed = 'jsonpath={.status.conditions[?(@.type=="Programmed")].status}';
        return (await running().kubectl('get', 'gateway', 'waypoint', '-n', OWN, '-o', programmed)) === 'True';
      });
      await passes(t, 'declared-waypoint', { ...IN_MESH, 'istio.io/use-waypoint': 'waypoint' });
      await areGone();
    });

    test(`K155: every test passes where nobody named a waypoint, and none is skipped; K159: its namespaces go with it (${round})`, async (t) => {
      await passes(t, 'default', IN_MESH);
      await areGone();
    });
  }

  async function passes(t: TestContext, mode: string, labels: Record<string, string>): Promise<void> {
    const { passed, failed, skipped, report, output } = await suite.run(mode, labels);
    if (REPORTS !== undefined) await writeFile(join(REPORTS, `standard-v0.1.0-${mode}-report.yaml`), report);
    assert.deepEqual({ passed, failed, skipped }, { passed: TESTS, failed: [], skipped: 0 }, output.slice(-20_000));
    for (const line of sumOf(report)) {
      t.diagnostic(`${mode}: ${line}`);
      assert.match(line, /core=success \d+\/0\/0( extended=success \d+\/0\/0 unsupported=0)?$/);
    }
  }

  /** The suite removes its namespaces in the end; nothing of ours keeps them. */
  async function areGone(): Promise<void> {
    await waitUntil('end of the namespaces', GONE_MS, async () => {
      const names = await running().kubectl('get', 'namespaces', ...SUITE_NAMESPACES, '--ignore-not-found', '-o', 'name');
      return names.trim() === '';
    });
  }
});
