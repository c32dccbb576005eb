import assert from 'node:assert/strict';
import { test } from 'node:test';
import { namespacesText, readAddRequest, refusal } from './messages.ts';

const ARGS = 'IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web;K8S_POD_INFRA_CONTAINER_ID=c1;K8S_POD_UID=u1';

function aRequest(prevResult: unknown, more: object = {}): string {
  const netns = '/var/run/netns/cni-1';
  const config = { cniVersion: '0.4.0', prevResult };
  return JSON.stringify({ v: 1, pid: 7, containerId: 'c1', netns, ifname: 'eth0', args: ARGS, config, ...more });
}

test('a request names the pod, its addresses, and its namespace as the runtime and as the plugin sees it', () => {
  assert.deepEqual(readAddRequest(aRequest({ ips: [{ address: '10.1.0.2/24' }] })), {
    pod: { namespace: 'shop', name: 'web', uid: 'u1' },
    netnsPaths: ['/run/netns/cni-1', '/proc/7/root/var/run/netns/cni-1'],
    addresses: ['10.1.0.2'],
    cniVersion: '0.4.0',
  });
});

test('K27: addresses of both families count; those of interfaces outside the pod do not', () => {
  const interfaces = [{ name: 'veth1' }, { name: 'eth0', sandbox: '/var/run/netns/cni-1' }];
  const ips = [
    { address: '10.1.0.1/24', interface: 0 },
    { address: '10.1.0.2/24', interface: 1 },
    { address: 'fd00::2/64', interface: 1 },
  ];
  assert.deepEqual(readAddRequest(aRequest({ interfaces, ips })).addresses, ['10.1.0.2', 'fd00::2']);
});

const GOOD = { ips: [{ address: '10.1.0.2/24' }] };
const UNREAD = {
  'no JSON': '{',
  'a list': '[]',
  'of another version': aRequest(GOOD, { v: 2 }),
  'without a pod': aRequest(GOOD, { args: 'IgnoreUnknown=1' }),
  'without a namespace': aRequest(GOOD, { netns: '' }),
  'without a process': aRequest(GOOD, { pid: '7/../1' }),
  'without addresses': aRequest({ ips: [] }),
  'with what is no address': aRequest({ ips: [{ address: 5 }, null, { address: 'x/24' }] }),
  'without a result': aRequest(undefined),
};

for (const [name, text] of Object.entries(UNREAD)) {
  test(`K23: a request is refused that is ${name}`, () => {
    assert.throws(() => readAddRequest(text), { code: 'WEFT_CNI_REQUEST' });
  });
}

test('a refusal is told in the version of the configuration, as one to be tried again', () => {
  const [first, second = ''] = refusal('0.4.0', 'because of "this"').split('\n');
  assert.equal(first, 'weft-cni 1 error');
  assert.deepEqual(JSON.parse(second), { cniVersion: '0.4.0', code: 11, msg: 'because of "this"' });
});

test('a list of namespaces says where it ends', () => {
  assert.equal(namespacesText(['a', 'b']), 'weft-cni 1\na\nb\nend\n');
  assert.equal(namespacesText([]), 'weft-cni 1\nend\n');
});
