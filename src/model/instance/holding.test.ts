import assert from 'node:assert/strict';
import test from 'node:test';
import { conflictOf, type Holding, hostConflictOf, type KnownHolding } from './holding.ts';

const ALPHA: KnownHolding = {
  node: 'alpha',
  pid: 7,
  runDir: '/run/weft',
  bpffs: '/sys/fs/bpf',
  cgroup: '/cgroup/weft/alpha',
  bridge: 'weft-a',
  pool4: '10.41.0.0/24',
  pool6: 'fd41:0:0:1::/64',
  netns: 'net:[1]',
  state: 'alive',
};
const BETA: Holding = {
  ...ALPHA,
  node: 'beta',
  runDir: '/run/beta',
  cgroup: '/cgroup/weft/beta',
  bridge: 'weft-b',
  pool4: '10.41.1.0/24',
  pool6: 'fd41:0:0:2::/64',
};

const cases: { name: string; wanted: Holding; known?: KnownHolding; says: RegExp | null }[] = [
  { name: 'another node with everything of its own', wanted: BETA, says: null },
  { name: 'the same node while its agent lives', wanted: ALPHA, says: /alpha is held by the agent with pid 7.*\/run\/weft/ },
  { name: 'the same node, whose agent has ended', wanted: ALPHA, known: { ...ALPHA, state: 'dead' }, says: null },
  {
    name: 'a node that an agent of another run directory left',
    wanted: { ...ALPHA, runDir: '/run/2' },
    known: { ...ALPHA, state: 'dead' },
    says: /was left by an agent that has ended \(pid 7\), run directory \/run\/weft/,
  },
  {
    name: 'part of the pool',
    wanted: { ...BETA, pool4: '10.41.0.128/25' },
    says: /overlaps with 10\.41\.0\.0\/24 of node alpha/,
  },
  { name: 'more than the pool', wanted: { ...BETA, pool6: 'fd41::/32' }, says: /overlaps with fd41:0:0:1::\/64 of node alpha/ },
  { name: 'the same pool in another network namespace', wanted: { ...BETA, pool4: ALPHA.pool4, netns: 'net:[2]' }, says: null },
  { name: 'a cgroup inside', wanted: { ...BETA, cgroup: '/cgroup/weft/alpha/beta' }, says: /cgroup of node alpha/ },
];
for (const { name, wanted, known = ALPHA, says } of cases) {
  test(`H2: ${name}: ${says === null ? 'free' : 'refused with the name of the holder'}`, () => {
    const conflict = conflictOf(wanted, [known]);
    if (says === null) return assert.equal(conflict, null);
    assert.match(conflict?.message ?? '', says);
    assert.notEqual(conflict?.remedy ?? '', '');
  });
}

const ranges: { name: string; cidr: string; direct: boolean; device?: string; taken: boolean }[] = [
  { name: 'a larger network of its links', cidr: '10.0.0.0/8', direct: true, taken: true },
  { name: 'a larger network behind a gateway', cidr: '10.0.0.0/8', direct: false, taken: false },
  { name: 'a route within the pool', cidr: '10.41.1.64/26', direct: false, taken: true },
  { name: 'an address in the pool', cidr: '10.41.1.9', direct: false, taken: true },
  { name: 'the own bridge', cidr: '10.41.1.0/24', direct: true, device: 'weft-b', taken: false },
  { name: 'a neighbouring network', cidr: '10.41.2.0/24', direct: true, taken: false },
  { name: 'a network of the other family', cidr: 'fd41:0:0:2::/48', direct: true, taken: true },
];
for (const { name, cidr, direct, device = 'eth0', taken } of ranges) {
  test(`H2: of the host ${name} is ${taken ? 'a conflict' : 'none'}`, () => {
    const conflict = hostConflictOf(BETA, [{ cidr, direct, device }]);
    assert.equal(conflict !== null, taken);
    if (taken) assert.match(conflict?.message ?? '', /eth0/);
  });
}
