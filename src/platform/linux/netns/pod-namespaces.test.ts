import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { parseIp } from '#model/address/ip.ts';
import { eventually } from '#platform/linux/process/waiting.ts';
import { podNamespaces } from './pod-namespaces.ts';

const SKIP = process.getuid?.() === 0 ? false : 'root is needed to make network namespaces';
const START_MS = 5_000;
const WEB = { uid: '0a1b2c3d-1111-2222-3333-445566778899', addresses: [parseIp('10.1.0.7'), parseIp('fd00:1::7')] };
const STORE = { uid: '11111111-1111-2222-3333-445566778899', addresses: [parseIp('10.1.0.8')] };

/** A node as an agent sees it: a folder like /proc and one like /run/netns, in which real processes are called pods. */
function aNode(t: TestContext) {
  const dir = mkdtempSync(join(tmpdir(), 'weft-pods-'));
  const view = { proc: join(dir, 'proc'), named: join(dir, 'netns') };
  for (const folder of Object.values(view)) mkdirSync(folder);
  const children: ChildProcess[] = [];
  t.after(() => {
    for (const child of children) child.kill('SIGKILL');
    rmSync(dir, { recursive: true, force: true });
  });
  return {
    view,
    /** A process in a namespace of its own with these addresses; returns its id. */
    async namespace(...addresses: string[]): Promise<number> {
      const child = spawn('unshare', ['--net', '--', 'sleep', 'infinity'], { stdio: 'ignore' });
      children.push(child);
      const pid = child.pid ?? 0;
      const home = readlinkSync('/proc/self/ns/net');
      assert.ok(await eventually(() => readlinkSync(`/proc/${pid}/ns/net`) !== home, START_MS));
      const ip = (...words: string[]): void => void execFileSync('nsenter', [`--net=/proc/${pid}/ns/net`, 'ip', ...words]);
      ip('link', 'set', 'lo', 'up');
      for (const address of addresses) ip('address', 'add', address, 'dev', 'lo');
      return pid;
    },
    /** The process is one of a pod. */
    process(pid: number, of: string, network = pid): void {
      mkdirSync(join(view.proc, String(pid), 'ns'), { recursive: true });
      writeFileSync(join(view.proc, String(pid), 'cgroup'), `4:memory:/kubepods/besteffort/pod${of}/abc\n0::/\n`);
      symlinkSync(`/proc/${network}/ns/net`, join(view.proc, String(pid), 'ns/net'));
    },
    name: (name: string, pid: number): void => symlinkSync(`/proc/${pid}/ns/net`, join(view.named, name)),
  };
}

test('a pod is where its processes are, by the name that its namespace has', { skip: SKIP }, async (t) => {
  const node = aNode(t);
  const [web, store] = [await node.namespace('10.1.0.7/32', 'fd00:1::7/128'), await node.namespace('10.1.0.8/32')];
  node.process(web, WEB.uid);
  node.process(store, STORE.uid);
  node.name('cni-web', web);
  const found = podNamespaces([WEB, STORE], [WEB, STORE], node.view);
  const pathOf = (uid: string): string => {
    const place = found.get(uid) ?? { problem: 'nothing is said' };
    return 'path' in place ? place.path : place.problem;
  };
  assert.equal(pathOf(WEB.uid), join(node.view.named, 'cni-web'));
  assert.equal(pathOf(STORE.uid), join(node.view.proc, String(store), 'ns/net'));
});

test('a pod without a process is found by its address; a foreign process in it does not make it that of another', {
  skip: SKIP,
}, async (t) => {
  const node = aNode(t);
  const web = await node.namespace('10.1.0.7/32');
  node.name('cni-web', web);
  assert.ok('path' in (podNamespaces([WEB], [WEB], node.view).get(WEB.uid) ?? {}));
  node.process(1_000_000, STORE.uid, web);
  assert.match(
    JSON.stringify(podNamespaces([STORE], [WEB, STORE], node.view).get(STORE.uid)),
    /no network namespace .* 10.1.0.8/,
  );
});

test('the namespace of the node, names without a namespace and processes that have ended are passed over', {
  skip: SKIP,
}, (t) => {
  const node = aNode(t);
  const own = { uid: WEB.uid, addresses: [parseIp('127.0.0.1')] };
  node.process(process.pid, own.uid);
  node.name('gone', 2 ** 30);
  writeFileSync(join(node.view.named, 'empty'), '');
  writeFileSync(join(node.view.proc, 'uptime'), '1');
  assert.match(JSON.stringify(podNamespaces([own], [own], node.view).get(own.uid)), /no network namespace/);
});

test('a node that shows neither processes nor names has no pods', { skip: SKIP }, () => {
  const found = podNamespaces([WEB], [WEB], { proc: '/nowhere', named: '/nowhere' });
  assert.match(JSON.stringify(found.get(WEB.uid)), /no network namespace/);
});
