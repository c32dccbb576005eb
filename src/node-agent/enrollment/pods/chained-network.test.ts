import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseIp } from '#model/address/ip.ts';
import { SILENT_LOG } from '#model/effects/log.ts';
import { WeftError } from '#model/error.ts';
import { AGENT } from '#model/settings/agents.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import { PASS_REPLY } from '#protocol/cni/messages.ts';
import { ChainedNetwork } from './chained-network.ts';
import type { PodSandbox } from './pod-network.ts';
import { settle } from './pods-rig.testing.ts';

const REQUEST = JSON.stringify({
  ...{ v: 1, pid: 7, netns: '/var/run/netns/x', args: 'K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web;K8S_POD_UID=u1' },
  config: { cniVersion: '0.4.0', prevResult: { ips: [{ address: '10.1.0.2/24' }] } },
});

/** A node in memory; `namespaces`: addresses by path. */
function setUp(namespaces: Record<string, string> = { '/run/netns/x': '10.1.0.2' }, isFull = () => false) {
  const clock = new SteppedClock();
  const steps: string[] = [];
  let ask = (_request: string): Promise<string | null> => Promise.reject(new Error('nobody is asked'));
  const network = new ChainedNetwork({
    chain: {
      keep: async () => void steps.push('entry'),
      leave: async () => void steps.push('no entry'),
      close: () => void steps.push('entry stays'),
      problem: null,
    },
    async serve(answer) {
      ask = answer;
      steps.push('socket');
      return () => void steps.push('no socket');
    },
    async install() {
      if (isFull()) throw new Error('no room is left on its file system');
      steps.push('program');
    },
    writeNamespaces: async (text) => void steps.push(`list ${text.split('\n').slice(1, -2).join()}`),
    removeFiles: async () => void steps.push('no files'),
    namespaceAt: (path) => {
      const address = namespaces[path];
      return address === undefined ? null : { path, inode: 1, addresses: new Set([parseIp(address)]) };
    },
    ...{ clock, log: SILENT_LOG },
  });
  return { network, steps, clock, ask: (request = REQUEST) => ask(request) };
}

test('the entry comes last: before it there are the program, and somebody who answers', async () => {
  const { network, steps } = setUp();
  await network.open(async () => {});
  network.close();
  assert.deepEqual(steps, ['socket', 'program', 'entry', 'entry stays', 'no socket']);
});

test('K17: a program that found no room is put onto the node when there is some, and then the entry', async () => {
  let full = true;
  const { network, steps, clock } = setUp({}, () => full);
  await network.open(async () => {});
  assert.deepEqual([steps, network.problem()], [['socket'], 'no room is left on its file system']);
  full = false;
  clock.advance(AGENT.cniLookMs);
  await settle();
  assert.deepEqual([steps, network.problem()], [['socket', 'program', 'entry'], null]);
});

test('K17: a program that found no room is not put onto a node that is left', async () => {
  let full = true;
  const { network, steps, clock } = setUp({}, () => full);
  await network.open(async () => {});
  network.close();
  full = false;
  clock.advance(AGENT.cniLookMs);
  await settle();
  assert.deepEqual(steps, ['socket', 'entry stays', 'no socket']);
});

test('who asks goes on when the pod is in; hears why it is not; or asks the next agent', async () => {
  const { network, ask } = setUp();
  const heard: PodSandbox[] = [];
  let failing: Error | null = null;
  await network.open(async (sandbox) => {
    heard.push(sandbox);
    if (failing !== null) throw failing;
  });
  assert.equal(await ask(), PASS_REPLY);
  assert.deepEqual(heard[0], {
    pod: { namespace: 'shop', name: 'web', uid: 'u1' },
    addresses: ['10.1.0.2'],
    place: { path: '/run/netns/x', inode: 1 },
  });
  failing = new WeftError('WEFT_POD_UNKNOWN', 'nobody knows it', { remedy: 'wait' });
  assert.match(
    (await ask()) ?? '',
    /^weft-cni 1 error\n\{"cniVersion":"0\.4\.0","code":11,"msg":"nobody knows it \(wait\)"\}\n$/,
  );
  failing = new WeftError('WEFT_AGENT_LEAVING', 'another agent has the node');
  assert.equal(await ask(), null);
  assert.match((await ask('{')) ?? '', /error\n.*cannot be read/);
});

test('a namespace is sought where the runtime and where the plugin sees it, and has to carry the address of the pod', async () => {
  const elsewhere = setUp({ '/run/netns/x': '10.1.0.9', '/proc/7/root/var/run/netns/x': '10.1.0.2' });
  const paths: string[] = [];
  await elsewhere.network.open(async ({ place }) => void paths.push(place.path));
  assert.equal(await elsewhere.ask(), PASS_REPLY);
  assert.deepEqual(paths, ['/proc/7/root/var/run/netns/x']);
  const nowhere = setUp({});
  await nowhere.network.open(async () => {});
  assert.match((await nowhere.ask()) ?? '', /error\n.*finds no network namespace with the pod's address at \/run\/netns\/x/);
});

test('K46: until the runtime has read that the plugin is out of the chain it is answered: everything starts', async () => {
  const { network, steps, clock, ask } = setUp();
  await network.open(async () => {
    throw new Error('nobody is taken in any more');
  });
  await network.list(['shop']);
  const removed = network.remove();
  await settle();
  assert.equal(await ask(), PASS_REPLY);
  assert.deepEqual(steps.splice(0), ['socket', 'program', 'entry', 'list shop', 'list ', 'no entry']);
  clock.advance(AGENT.cniReloadMs);
  await removed;
  assert.deepEqual(steps, ['no socket', 'no files']);
});
