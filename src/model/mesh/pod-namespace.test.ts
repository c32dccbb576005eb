import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseIp } from '#model/address/ip.ts';
import { type FoundNamespace, namespaceOfPod, type SoughtPod } from './pod-namespace.ts';

const HOME = 1;
const POD: SoughtPod = { uid: 'web', addresses: ['10.1.0.7', 'fd00::7'].map(parseIp) };
const RIVAL: SoughtPod = { uid: 'rival', addresses: [parseIp('10.1.0.7')] };

function namespace(inode: number, addresses: string[], ...pods: string[]): FoundNamespace {
  return { path: `/ns/${inode}`, inode, addresses: new Set(['127.0.0.1', ...addresses].map(parseIp)), pods: new Set(pods) };
}

const cases: { name: string; found: FoundNamespace[]; all?: SoughtPod[]; is: string | RegExp }[] = [
  { name: 'that of its processes', found: [namespace(2, ['10.1.0.7'], 'web'), namespace(3, ['10.1.0.8'], 'x')], is: '/ns/2' },
  { name: 'one family is enough', found: [namespace(2, ['fd00::7'], 'web')], is: '/ns/2' },
  { name: 'without a process by its address (K34)', found: [namespace(2, ['10.1.0.7'])], is: '/ns/2' },
  { name: 'never that of the node (K28)', found: [namespace(HOME, ['10.1.0.7'], 'web')], is: /no network namespace/ },
  {
    name: 'not one where a process of it only sits (K35)',
    found: [namespace(2, ['10.1.0.8'], 'web', 'x')],
    is: /no network namespace/,
  },
  { name: 'not one that a process of it made', found: [namespace(3, [], 'web'), namespace(2, ['10.1.0.7'], 'web')], is: '/ns/2' },
  { name: 'not that of another pod', found: [namespace(2, ['10.1.0.7'], 'x')], is: /no network namespace/ },
  {
    name: 'a process tells those apart that say they have one address',
    found: [namespace(2, ['10.1.0.7'], 'web')],
    all: [POD, RIVAL],
    is: '/ns/2',
  },
  { name: 'nothing else does (K36)', found: [namespace(2, ['10.1.0.7'])], all: [POD, RIVAL], is: /another pod \(rival\)/ },
  { name: 'two with its address', found: [namespace(2, ['10.1.0.7']), namespace(3, ['10.1.0.7'])], is: /several/ },
  {
    name: 'two with its processes',
    found: [namespace(2, ['10.1.0.7'], 'web'), namespace(3, ['10.1.0.7'], 'web')],
    is: /in 2 namespaces/,
  },
  { name: 'nothing', found: [], is: /no network namespace of this node has its address 10.1.0.7, fd00::7/ },
];
for (const { name, found, all = [POD], is } of cases) {
  test(`namespace of a pod: ${name}`, () => {
    const answer = namespaceOfPod(POD, { found, homeInode: HOME, all });
    if (typeof is === 'string') assert.equal('path' in answer && answer.path, is);
    else assert.match('problem' in answer ? answer.problem : answer.path, is);
  });
}
