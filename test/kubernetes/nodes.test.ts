import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { before, describe, test } from 'node:test';
import { reportWire } from '../../testbed/observers/wire-report.ts';
import { allProcesses } from '../../testbed/processes/process-table.ts';
import { waitUntil } from '../../testbed/processes/wait.ts';
import { cluster, SKIP_NODES } from './cluster.testing.ts';
import { addressOf, ask, makeNamespace, runEchoPods, serviceAddressOf } from './pods.testing.ts';

const SOON_MS = 20_000;
const WEB = { name: 'web', namespace: 'shop', node: 'node-a' };
const STORE = { name: 'store', namespace: 'shop', node: 'node-b' };

describe('a cluster with nodes', { skip: SKIP_NODES }, () => {
  const running = cluster();
  before(async () => {
    if (SKIP_NODES !== false) return;
    await makeNamespace(running(), 'shop');
    await runEchoPods(running(), [WEB, STORE]);
  });

  test('pods of two nodes reach each other by the address of a pod and of a service, in plain text on the link', async () => {
    const [web, store] = [await addressOf(running(), WEB), await addressOf(running(), STORE)];
    const { result, file } = await running().captureLink('node-a', () => ask(running(), WEB, `http://${store}:8080/secret`));
    assert.deepEqual([result.code, result.stderr], [0, '']);
    assert.match(result.stdout, new RegExp(`^host=store from=${web}:\\d+ path=/secret\n$`));
    assert.ok(file.includes('GET /secret'), 'the request is on the link');
    assert.match(reportWire(file).problems.join(), /TCP that is not HBONE/);
    const service = await serviceAddressOf(running(), STORE);
    // kube-proxy hears of endpoints a moment after the pod is ready.
    await waitUntil('answer of the service', SOON_MS, async () => (await ask(running(), WEB, `http://${service}/`)).code === 0);
  });

  test('a program on a node is one of its processes, sees the cgroups of its pods, and is told to end', async () => {
    const node = running().node('node-b');
    const program = await node.start('idle', ['sleep', 'infinity']);
    assert.match(await node.run('ps', '-eo', 'comm'), /^sleep$/m);
    assert.match(await node.run('find', '/sys/fs/cgroup/unified/kubepods', '-maxdepth', '2', '-name', 'pod*'), /pod/);
    assert.equal(await program.stop(), null);
    assert.equal(program.isRunning(), false);
  });

  test('nothing of a cluster is left when it ends', async () => {
    const { dir } = running();
    const processes = async (): Promise<string[]> => {
      const texts = (await allProcesses()).map((pid) => text(`/proc/${pid}/cgroup`, `/proc/${pid}/cmdline`));
      return (await Promise.all(texts)).filter((one) => one.includes(basename(dir)));
    };
    assert.ok((await processes()).some((one) => one.includes('kubelet')));
    await running().close();
    assert.deepEqual(await processes(), []);
    assert.equal(existsSync(dir), false);
    const hierarchies = (await readFile('/proc/mounts', 'utf8')).split('\n').map((line) => line.split(' '));
    for (const [, mount = '', type = ''] of hierarchies) {
      if (type.startsWith('cgroup')) assert.equal(existsSync(join(mount, basename(dir))), false, mount);
      assert.ok(!mount.startsWith(dir), mount);
    }
  });
});

/** What is in these files; '' in those of a process that has ended meanwhile. */
async function text(...paths: string[]): Promise<string> {
  return (await Promise.all(paths.map((path) => readFile(path, 'utf8').catch(() => '')))).join();
}
