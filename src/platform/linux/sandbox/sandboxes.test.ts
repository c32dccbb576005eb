import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { WeftError } from '#model/error.ts';
import { findCgroup2, removeEmptyCgroup } from '#platform/linux/cgroup/cgroup.ts';
import { inOwnNetns, startEcho, testNode, traces } from './own-netns.testing.ts';
import type { Sandbox } from './sandbox.ts';
import { hostVethOf, netnsNameOf } from './sandbox-name.ts';

const A = { namespace: 'shop', name: 'reviews' };
const B = { namespace: 'shop', name: 'ratings' };

const codeOf = (code: string) => (error: unknown) => {
  assert.ok(error instanceof WeftError, String(error));
  assert.equal(error.code, code, error.message);
  assert.ok(error.remedy);
  return true;
};

/** Whether everything of a sandbox is there. */
function isWhole(sandbox: Sandbox): boolean {
  const { netnsPath, cgroupPath, resolvConfPath, hostVeth } = sandbox;
  const links = execFileSync('ip', ['-o', 'link'], { encoding: 'utf8' });
  return [netnsPath, cgroupPath, resolvConfPath].every((path) => existsSync(path)) && links.includes(`${hostVeth}@`);
}

inOwnNetns(import.meta.url, () => {
  test('a node that is removed leaves nothing: no namespace, interface, cgroup or file', async () => {
    const node = await testNode();
    const before = traces(node.options);
    await node.sandboxes.prepareNode();
    const a = await node.sandboxes.create(A);
    await node.sandboxes.create(B);
    const during = traces(node.options);
    assert.equal(during.namespaces.length, 2);
    assert.deepEqual(during.cgroups, ['', '/workloads', '/workloads/shop.ratings', '/workloads/shop.reviews']);
    assert.ok(during.links.includes(node.options.bridge) && during.links.includes(a.hostVeth) && a.hostVeth.length <= 15);
    assert.ok(during.namespaces.includes(a.netnsName));
    await node.sandboxes.remove(A);
    assert.deepEqual(traces(node.options).namespaces.length, 1);
    await node.clean();
    assert.deepEqual(traces(node.options), before);
    assert.equal(existsSync(node.options.runDir), false);
  });

  test('addresses come from the pools, after the gateway, and no two sandboxes share one', async (context) => {
    const node = await testNode();
    context.after(node.clean);
    assert.deepEqual(await node.sandboxes.prepareNode(), {
      ipv6: true,
      degraded: ['no route with a gateway: workloads reach only this node'],
    });
    const made = await Promise.all(['a', 'b', 'c', 'd'].map((name) => node.sandboxes.create({ namespace: 'x', name })));
    const addresses = made.flatMap((sandbox) => sandbox.addresses).sort();
    const hosts = [2, 3, 4, 5];
    assert.deepEqual(addresses, [...hosts.map((host) => `10.41.1.${host}`), ...hosts.map((host) => `fd41:1::${host}`)]);
  });

  test('creating again gives the same sandbox, also when two ask at once', async (context) => {
    const node = await testNode();
    context.after(node.clean);
    await node.sandboxes.prepareNode();
    const [first, second] = await Promise.all([node.sandboxes.create(A), node.sandboxes.create(A)]);
    assert.deepEqual(first, second);
    assert.deepEqual(await node.sandboxes.list(), [first]);
  });

  test('a restarted agent finds its sandboxes, keeps them as they are, and hands out no used address', async (context) => {
    const node = await testNode();
    context.after(node.clean);
    await node.sandboxes.prepareNode();
    const a = await node.sandboxes.create(A);
    const echo = await startEcho(a, 7000);
    const restarted = node.again();
    assert.deepEqual(await restarted.list(), [a]);
    await restarted.prepareNode();
    assert.deepEqual(await restarted.create(A), a);
    assert.equal(await restarted.isEmpty(A), false);
    const b = await restarted.create(B);
    assert.ok(a.addresses.every((address) => !b.addresses.includes(address)));
    await echo.stop();
  });

  test('an address that was given back is the last to be handed out again', async (context) => {
    const node = await testNode({ pool4: '10.41.1.0/29' });
    context.after(node.clean);
    await node.sandboxes.prepareNode();
    const first = await node.sandboxes.create(A);
    await node.sandboxes.remove(A);
    const later: string[] = [];
    for (const name of ['b', 'c', 'd', 'e', 'f']) {
      const restarted = node.again();
      await restarted.prepareNode();
      later.push(...(await restarted.create({ ...A, name })).addresses.slice(0, 1));
    }
    assert.equal(later.at(-1), first.addresses[0]);
  });

  test('an exhausted pool is named, and one removal helps', async (context) => {
    const node = await testNode({ pool4: '10.41.1.0/29', pool6: null });
    context.after(node.clean);
    await node.sandboxes.prepareNode();
    const names = ['a', 'b', 'c', 'd', 'e'];
    for (const name of names) await node.sandboxes.create({ namespace: 'x', name });
    const before = traces(node.options);
    await assert.rejects(
      node.sandboxes.create(A),
      (error) => codeOf('WEFT_SANDBOX_POOL')(error) && /10\.41\.1\.0\/29/.test(String(error)),
    );
    assert.deepEqual(traces(node.options), before);
    await node.sandboxes.remove({ namespace: 'x', name: 'c' });
    assert.deepEqual((await node.sandboxes.create(A)).addresses, ['10.41.1.4']);
  });

  test('a sandbox that was damaged is made anew, with its addresses', async (context) => {
    const node = await testNode();
    context.after(node.clean);
    await node.sandboxes.prepareNode();
    const a = await node.sandboxes.create(A);
    for (const damage of [
      ['link', 'del', a.hostVeth],
      ['netns', 'del', a.netnsName],
      ['-n', a.netnsName, 'addr', 'flush', 'dev', 'eth0'],
    ]) {
      execFileSync('ip', damage);
      assert.deepEqual(await node.sandboxes.create(A), a);
      assert.ok(isWhole(a));
    }
  });

  test('a creation that fails at its first step, or at its last, leaves nothing', async (context) => {
    const node = await testNode();
    context.after(node.clean);
    await node.sandboxes.prepareNode();
    execFileSync('ip', ['link', 'del', node.options.bridge]);
    const before = traces(node.options);
    await assert.rejects(
      node.sandboxes.create(A),
      (error) => codeOf('WEFT_SANDBOX_COMMAND')(error) && /link set wf\S+ master/.test(String(error)),
    );
    assert.deepEqual(traces(node.options), before);
    await node.sandboxes.prepareNode(); // makes the bridge again
    writeFileSync(join(node.options.cgroupRoot, 'cgroup.max.descendants'), '1');
    await assert.rejects(node.sandboxes.create(A), codeOf('WEFT_SANDBOX_CGROUP'));
    const { cgroups, ...after } = traces(node.options);
    assert.deepEqual(
      { ...after, links: after.links.filter((link) => link !== node.options.bridge) },
      { namespaces: before.namespaces, links: before.links },
    );
    assert.deepEqual(cgroups, ['', '/workloads']);
    assert.deepEqual(await node.sandboxes.list(), []);
    writeFileSync(join(node.options.cgroupRoot, 'cgroup.max.descendants'), 'max');
    assert.ok(isWhole(await node.sandboxes.create(A)));
  });

  test('removing twice is as removing once; a living process forbids it until it is to be killed', async (context) => {
    const node = await testNode();
    context.after(node.clean);
    await node.sandboxes.prepareNode();
    const a = await node.sandboxes.create(A);
    const echo = await startEcho(a, 7000);
    await assert.rejects(
      node.sandboxes.remove(A),
      (error) => codeOf('WEFT_SANDBOX_BUSY')(error) && String(error).includes(String(echo.pid)),
    );
    assert.ok(isWhole(a));
    await node.sandboxes.remove(A, { killProcesses: true });
    assert.throws(() => process.kill(echo.pid, 0), /ESRCH/);
    assert.equal(existsSync(a.netnsPath), false);
    await node.sandboxes.remove(A);
    await node.sandboxes.remove({ namespace: 'never', name: 'was' });
    assert.equal(await node.sandboxes.isEmpty(A), true);
  });

  test('what a crash left half made is cleared when the node is prepared, and when it is removed', async (context) => {
    for (const next of ['prepareNode', 'removeNode'] as const) {
      const node = await testNode();
      context.after(node.clean);
      const before = traces(node.options);
      await node.sandboxes.prepareNode();
      await node.sandboxes.create(B);
      // A crash after the veth pair was made, and one that also lost its record.
      const [recorded, lost] = [A, { namespace: 'shop', name: 'lost' }].map((key) => {
        const [netnsName, hostVeth] = [netnsNameOf(node.options.node, key), hostVethOf(node.options.node, key)];
        execFileSync('ip', ['netns', 'add', netnsName]);
        execFileSync('ip', ['link', 'add', hostVeth, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', netnsName]);
        return { ...key, netnsName, hostVeth, addresses: ['10.41.1.77'], state: 'making' };
      });
      writeFileSync(join(node.options.runDir, 'sandboxes', 'shop.reviews.json'), JSON.stringify(recorded));
      execFileSync('touch', [`/run/netns/${netnsNameOf(node.options.node, { namespace: 'shop', name: 'unmounted' })}`]);
      const restarted = node.again();
      await restarted[next]();
      const after = traces(node.options);
      assert.equal(after.namespaces.length, next === 'prepareNode' ? 1 : 0);
      assert.deepEqual(
        [after.links.includes(recorded?.hostVeth ?? ''), after.namespaces.includes(lost?.netnsName ?? '')],
        [false, false],
      );
      if (next === 'prepareNode')
        assert.deepEqual(
          (await restarted.list()).map(({ name }) => name),
          ['ratings'],
        );
      else assert.deepEqual(after, before);
    }
  });

  test('a node whose files were lost is still removed', async (context) => {
    const node = await testNode();
    context.after(node.clean);
    const before = traces(node.options);
    await node.sandboxes.prepareNode();
    await node.sandboxes.create(A);
    const elsewhere = await testNode();
    context.after(elsewhere.clean);
    await node.again({ runDir: elsewhere.options.runDir }).removeNode();
    const { cgroups, ...after } = traces(node.options);
    assert.deepEqual({ ...after, cgroups: [] }, before);
    assert.deepEqual(cgroups, ['']); // whether the node made its own cgroup is nowhere else to be read
  });

  test('a node is removed with the processes in it', async () => {
    const node = await testNode();
    await node.sandboxes.prepareNode();
    const echo = await startEcho(await node.sandboxes.create(A), 7000);
    await node.clean();
    assert.throws(() => process.kill(echo.pid, 0), /ESRCH/);
    assert.deepEqual(traces(node.options).cgroups, []);
  });

  test('nodes that share a cgroup "weft" leave each other alone, and the last one removes it', async () => {
    const parent = join(await findCgroup2(), `weft-test-${process.pid}`, 'weft');
    const [first, second] = [
      await testNode({ cgroupRoot: join(parent, 'a') }),
      await testNode({ cgroupRoot: join(parent, 'b'), pool4: '10.41.2.0/24' }),
    ];
    await first.sandboxes.prepareNode();
    await second.sandboxes.prepareNode();
    const b = await second.sandboxes.create(B);
    await first.clean();
    assert.ok(isWhole(b) && !existsSync(join(parent, 'a')));
    await second.clean();
    assert.equal(existsSync(parent), false);
    await removeEmptyCgroup(join(parent, '..'));
  });

  test('an interface that is not ours is neither taken nor removed', async (context) => {
    const node = await testNode();
    context.after(() => execFileSync('ip', ['link', 'del', node.options.bridge]));
    execFileSync('ip', ['link', 'add', node.options.bridge, 'type', 'bridge']);
    for (const attempt of [1, 2])
      await assert.rejects(node.again().prepareNode(), codeOf('WEFT_SANDBOX_BRIDGE'), `attempt ${attempt}`);
    await node.clean();
    assert.ok(traces(node.options).links.includes(node.options.bridge));
  });

  test('pools and bridge may change, but not under living sandboxes', async (context) => {
    const node = await testNode();
    context.after(node.clean);
    await node.sandboxes.prepareNode();
    await node.sandboxes.create(A);
    const changed = { pool4: '10.42.1.0/24', bridge: 'wfother' };
    await assert.rejects(node.again(changed).prepareNode(), codeOf('WEFT_SANDBOX_POOL'));
    await node.sandboxes.remove(A);
    const other = node.again(changed);
    await other.prepareNode();
    assert.deepEqual((await other.create(A)).addresses[0], '10.42.1.3');
    assert.ok(!traces(node.options).links.includes(node.options.bridge));
    await other.removeNode();
    assert.deepEqual(traces(node.options).links, ['lo']);
  });

  test('names and options that cannot be are refused with a remedy, before anything is touched', async (context) => {
    const node = await testNode();
    context.after(node.clean);
    await assert.rejects(node.sandboxes.create(A), codeOf('WEFT_SANDBOX_NODE'));
    await node.sandboxes.prepareNode();
    for (const key of [
      { ...A, name: '../x' },
      { ...A, name: '' },
      { ...A, namespace: 'a.b' },
      { ...A, name: 'A' },
      { ...A, name: 'x'.repeat(200) },
    ]) {
      await assert.rejects(node.sandboxes.create(key), codeOf('WEFT_SANDBOX_NAME'));
    }
    assert.throws(() => node.again({ bridge: 'a-name-that-is-too-long' }), codeOf('WEFT_SANDBOX_BRIDGE'));
    assert.throws(() => node.again({ pool4: '10.0.0.0/31' }), codeOf('WEFT_SANDBOX_POOL'));
  });

  test('the resolv.conf names the gateway, and the search list of the namespace', async (context) => {
    const node = await testNode();
    context.after(node.clean);
    await node.sandboxes.prepareNode();
    const { resolvConfPath } = await node.sandboxes.create(A);
    assert.equal(
      readFileSync(resolvConfPath, 'utf8'),
      '# Of workload shop/reviews; written by weft.\nnameserver 10.41.1.1\nsearch shop.svc.cluster.local cluster.local\n',
    );
  });
});
