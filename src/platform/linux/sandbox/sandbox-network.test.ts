import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import test from 'node:test';
import { tryParseCidr } from '#model/address/ip.ts';
import { applyChanges, globalForwarding6, planChanges, restoreChanges } from '#platform/linux/net/sysctl.ts';
import { askEcho, inOwnNetns, runIn, startEcho, testNode } from './own-netns.testing.ts';

const A = { namespace: 'shop', name: 'reviews' };
const B = { namespace: 'shop', name: 'ratings' };

const ip = (...args: string[]): string => execFileSync('ip', args, { encoding: 'utf8' });
const sysctl = (name: string): string => readFileSync(`/proc/sys/net/${name}`, 'utf8').trim();
const hasNft = ['/usr/sbin/nft', '/sbin/nft', '/usr/bin/nft'].some((path) => {
  try {
    execFileSync(path, ['list', 'tables']);
    return true;
  } catch {
    return false;
  }
});

/** A host beyond the node's uplink, with a way back to the pools or without. It is a namespace and an interface `up<n>` here. */
function outsideWorld(number: number, knowsPools: boolean) {
  const [name, uplink] = [`weft-world-${process.pid}-${number}`, `up${number}`];
  const inside = (...args: string[]): string => ip('-n', name, ...args);
  ip('netns', 'add', name);
  ip('link', 'add', uplink, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name);
  ip('addr', 'add', '192.0.2.1/24', 'dev', uplink);
  ip('addr', 'add', 'fd99::1/64', 'dev', uplink, 'nodad');
  writeFileSync(`/proc/sys/net/ipv6/conf/${uplink}/accept_dad`, '0'); // its check for duplicates would take seconds
  ip('link', 'set', uplink, 'up');
  inside('link', 'set', 'lo', 'up');
  execFileSync('nsenter', [`--net=/run/netns/${name}`, 'sh', '-c', 'echo 0 > /proc/sys/net/ipv6/conf/eth0/accept_dad']);
  inside('link', 'set', 'eth0', 'up');
  inside('addr', 'add', '192.0.2.9/24', 'dev', 'eth0');
  inside('addr', 'add', 'fd99::9/64', 'dev', 'eth0', 'nodad');
  ip('route', 'add', 'default', 'via', '192.0.2.9');
  ip('route', 'add', 'default', 'via', 'fd99::9', 'dev', uplink);
  if (knowsPools) {
    inside('route', 'add', '10.41.0.0/16', 'via', '192.0.2.1');
    inside('route', 'add', 'fd41::/16', 'via', 'fd99::1', 'dev', 'eth0');
  }
  return {
    uplink,
    netnsPath: `/run/netns/${name}`,
    remove() {
      ip('link', 'del', uplink);
      ip('netns', 'del', name);
    },
  };
}

inOwnNetns(import.meta.url, () => {
  test('two sandboxes reach each other over IPv4 and IPv6 as soon as they are made, by their own addresses', async (context) => {
    const node = await testNode();
    context.after(node.clean);
    await node.sandboxes.prepareNode();
    const [a, b] = [await node.sandboxes.create(A), await node.sandboxes.create(B)];
    const echo = await startEcho(b, 7000);
    for (const at of [0, 1]) assert.equal(await askEcho(a, b.addresses[at] ?? '', 7000), a.addresses[at]);
    assert.equal(await askEcho(b, '127.0.0.1', 7000), '127.0.0.1');
    assert.equal(await askEcho(b, '::1', 7000), '::1');
    assert.equal(await askEcho(a, b.addresses[0] ?? '', 7001), 'ECONNREFUSED');
    await echo.stop();
  });

  test('a sandbox is usable at once: no address is tentative, and nothing waits for router advertisements', async (context) => {
    const node = await testNode();
    context.after(node.clean);
    await node.sandboxes.prepareNode();
    const a = await node.sandboxes.create(A);
    assert.doesNotMatch(ip('-n', a.netnsName, '-6', 'addr', 'show'), /tentative/);
    assert.doesNotMatch(ip('-6', 'addr', 'show', 'dev', node.options.bridge), /tentative/);
    assert.match(ip('-n', a.netnsName, 'route', 'show', 'default'), /default via 10\.41\.1\.1 dev eth0/);
    assert.match(ip('-n', a.netnsName, '-6', 'route', 'show', 'default'), /default via fd41:1::1 dev eth0/);
  });

  test('the gateway is the node itself', async (context) => {
    const node = await testNode();
    context.after(node.clean);
    await node.sandboxes.prepareNode();
    const a = await node.sandboxes.create(A);
    const server = createServer((socket) => socket.end(String(socket.remoteAddress))).listen(7000, '10.41.1.1');
    assert.equal(await askEcho(a, '10.41.1.1', 7000), '10.41.1.2');
    server.close();
  });

  test('removing one sandbox does not disturb another: the gateway keeps its hardware address', async (context) => {
    const node = await testNode();
    context.after(node.clean);
    await node.sandboxes.prepareNode();
    const mac = () => ip('-br', 'link', 'show', node.options.bridge).split(/\s+/)[2];
    const before = mac();
    const names = ['a', 'b', 'c', 'd'];
    for (const name of names) await node.sandboxes.create({ ...A, name });
    assert.equal(mac(), before);
    for (const name of names) await node.sandboxes.remove({ ...A, name });
    assert.equal(mac(), before);
  });

  test('workloads reach hosts beyond the uplink and are reached by them; afterwards every setting is as it was', async (context) => {
    const world = outsideWorld(1, true);
    context.after(world.remove);
    const settings = ['all', 'default', world.uplink].flatMap((name) => [
      ...['ipv4', 'ipv6'].map((family) => `${family}/conf/${name}/forwarding`),
      `ipv6/conf/${name}/accept_ra`,
      `ipv6/conf/${name}/force_forwarding`,
    ]);
    const before = settings.map(sysctl);
    const node = await testNode();
    context.after(node.clean);
    assert.deepEqual(await node.sandboxes.prepareNode(), { ipv6: true, degraded: [] });
    assert.equal(sysctl(`ipv4/conf/${world.uplink}/forwarding`), '1');
    assert.equal(sysctl('ipv4/conf/all/forwarding'), '0');
    assert.equal(sysctl('ipv6/conf/all/forwarding'), '0');
    const a = await node.sandboxes.create(A);
    const outside = { ...a, netnsPath: world.netnsPath };
    const [there, here] = [await startEcho(outside, 7000), await startEcho(a, 7000)];
    assert.equal(await askEcho(outside, '10.41.1.2', 7000), '192.0.2.9');
    assert.equal(await askEcho(outside, 'fd41:1::2', 7000), 'fd99::9');
    assert.equal(await askEcho(a, '192.0.2.9', 7000), '10.41.1.2');
    assert.equal(await askEcho(a, 'fd99::9', 7000), 'fd41:1::2');
    await there.stop();
    await here.stop();
    await node.again().prepareNode(); // a restarted agent must not take its own settings for the machine's
    await node.again().removeNode();
    assert.deepEqual(settings.map(sysctl), before);
  });

  test('a setting that another program changed meanwhile is left alone', async (context) => {
    const world = outsideWorld(2, true);
    context.after(world.remove);
    writeFileSync(`/proc/sys/net/ipv4/conf/${world.uplink}/forwarding`, '1'); // was on: stays on
    const node = await testNode();
    context.after(node.clean);
    await node.sandboxes.prepareNode();
    writeFileSync(`/proc/sys/net/ipv6/conf/${world.uplink}/force_forwarding`, '0');
    await node.again().removeNode();
    assert.equal(sysctl(`ipv4/conf/${world.uplink}/forwarding`), '1');
    assert.equal(sysctl(`ipv6/conf/${world.uplink}/force_forwarding`), '0');
  });

  test('where IPv6 forwards for all or none, hosts go on hearing router advertisements, and all of it is put back', async (context) => {
    const world = outsideWorld(3, true);
    context.after(world.remove);
    ip('link', 'add', 'router0', 'type', 'bridge');
    context.after(() => ip('link', 'del', 'router0'));
    writeFileSync('/proc/sys/net/ipv6/conf/router0/forwarding', '1'); // differs from `all`
    const names = ['all', 'default', 'lo', world.uplink, 'router0'];
    const settings = names.flatMap((name) => [`ipv6/conf/${name}/forwarding`, `ipv6/conf/${name}/accept_ra`]);
    const before = settings.map(sysctl);
    const changes = await planChanges(await globalForwarding6(), []);
    await applyChanges(changes);
    assert.equal(sysctl('ipv6/conf/all/forwarding'), '1');
    assert.equal(sysctl(`ipv6/conf/${world.uplink}/accept_ra`), '2');
    const again = await planChanges(await globalForwarding6(), changes);
    assert.deepEqual(
      new Map(again.map(({ name, before: old }) => [name, old])),
      new Map(changes.map(({ name, before: old }) => [name, old])),
    );
    await restoreChanges(again);
    assert.deepEqual(settings.map(sysctl), before);
  });

  test('with IPv6 turned off, workloads have IPv4, and the node says what is lost; those from before stay', async (context) => {
    const node = await testNode({ uplinks: ['lo'] });
    context.after(node.clean);
    await node.sandboxes.prepareNode();
    const before = await node.sandboxes.create(A);
    writeFileSync('/proc/sys/net/ipv6/conf/all/disable_ipv6', '1');
    context.after(() => writeFileSync('/proc/sys/net/ipv6/conf/all/disable_ipv6', '0'));
    const restarted = node.again();
    const { ipv6, degraded } = await restarted.prepareNode();
    assert.deepEqual([ipv6, degraded], [false, ['IPv6 is turned off on this machine: workloads have IPv4 only']]);
    assert.deepEqual(await restarted.create(A), before);
    const b = await restarted.create(B);
    assert.deepEqual(b.addresses, ['10.41.1.3']);
    const echo = await startEcho(b, 7000);
    assert.equal(await askEcho(before, '10.41.1.3', 7000), '10.41.1.2');
    await echo.stop();
  });

  test('an MTU that is asked for holds at both ends', async (context) => {
    const node = await testNode({ mtuBytes: 1_400 });
    context.after(node.clean);
    await node.sandboxes.prepareNode();
    const a = await node.sandboxes.create(A);
    assert.match(ip('link', 'show', a.hostVeth), /mtu 1400/);
    assert.match(ip('-n', a.netnsName, 'link', 'show', 'eth0'), /mtu 1400/);
  });

  test('without nft, the node says that there is no address translation, and works', {
    skip: hasNft && 'nft is installed',
  }, async (context) => {
    const node = await testNode({ uplinks: ['lo'], egressNat: { excluded: [] } });
    context.after(node.clean);
    const { degraded } = await node.sandboxes.prepareNode();
    assert.equal(degraded.length, 1);
    assert.match(degraded[0] ?? '', /nft/);
    assert.equal((await node.sandboxes.create(A)).addresses.length, 2);
  });

  test("what leaves the node has the node's address, but for excluded destinations", {
    skip: !hasNft && 'nft is not installed',
  }, async (context) => {
    const world = outsideWorld(4, true);
    context.after(world.remove);
    const excluded = ['192.0.2.9/32'].flatMap((text) => tryParseCidr(text) ?? []);
    for (const [nat, want] of [
      [{ excluded: [] }, ['192.0.2.1', 'fd99::1']],
      [{ excluded }, ['10.41.1.2', 'fd99::1']],
    ] as const) {
      const node = await testNode({ egressNat: nat });
      context.after(node.clean);
      assert.deepEqual((await node.sandboxes.prepareNode()).degraded, []);
      await node.again().prepareNode(); // replaces its table
      const a = await node.sandboxes.create(A);
      const there = await startEcho({ ...a, netnsPath: world.netnsPath }, 7000);
      assert.deepEqual([await askEcho(a, '192.0.2.9', 7000), await askEcho(a, 'fd99::9', 7000)], want);
      await there.stop();
      await node.again().removeNode();
      assert.doesNotMatch(execFileSync('nft', ['list', 'tables'], { encoding: 'utf8' }), /weft/);
    }
  });

  test("inside, /sys shows the cgroups still, and the network is the sandbox's", async (context) => {
    const node = await testNode();
    context.after(node.clean);
    await node.sandboxes.prepareNode();
    const a = await node.sandboxes.create(A);
    const { stdout } = await runIn(a, [
      '/bin/sh',
      '-c',
      'grep -c cgroup2 /proc/self/mountinfo; ip -o link | wc -l; tail -1 /proc/self/cgroup',
    ]);
    const [mounts, links, cgroup] = stdout.split('\n');
    assert.ok(Number(mounts) >= 1);
    assert.equal(links?.trim(), '2');
    assert.ok(cgroup?.endsWith('/workloads/shop.reviews'));
  });
});
