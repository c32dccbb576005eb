import assert from 'node:assert/strict';
import test from 'node:test';
import { WeftError } from '#model/error.ts';
import { cgroup2MountsIn, type MachineFacts } from './facts.ts';
import { machineProblems, requireMachine, requireRoot } from './preflight.ts';

const GOOD: MachineFacts = {
  platform: 'linux',
  kernelRelease: '6.1.0-18-amd64',
  userId: 0,
  kernelTypesReadable: true,
  cgroup2Mounts: ['/sys/fs/cgroup'],
  libbpfLoads: true,
  unbuilt: [],
};

test('a good machine has no problems', () => {
  assert.deepEqual(machineProblems(GOOD), []);
  requireMachine(GOOD);
});

const cases: { name: string; facts: Partial<MachineFacts>; code: string; remedy: RegExp }[] = [
  { name: 'another operating system', facts: { platform: 'darwin' }, code: 'WEFT_NOT_LINUX', remedy: /virtual machine/ },
  { name: 'a plain user', facts: { userId: 1000 }, code: 'WEFT_NOT_ROOT', remedy: /sudo/ },
  { name: 'kernel 5.10', facts: { kernelRelease: '5.10.0-28-amd64' }, code: 'WEFT_KERNEL_TOO_OLD', remedy: /5\.15/ },
  { name: 'kernel 4.19', facts: { kernelRelease: '4.19.0' }, code: 'WEFT_KERNEL_TOO_OLD', remedy: /5\.15/ },
  { name: 'a kernel without BTF', facts: { kernelTypesReadable: false }, code: 'WEFT_NO_BTF', remedy: /CONFIG_DEBUG_INFO_BTF/ },
  { name: 'no cgroup v2', facts: { cgroup2Mounts: [] }, code: 'WEFT_CGROUP2', remedy: /mount -t cgroup2/ },
  { name: 'no libbpf', facts: { libbpfLoads: false }, code: 'WEFT_LIBBPF', remedy: /libbpf1/ },
  { name: 'nothing built', facts: { unbuilt: ['build/bpf/connect.o'] }, code: 'WEFT_NOT_BUILT', remedy: /make setup/ },
];
for (const { name, facts, code, remedy } of cases) {
  test(`${name} is refused with ${code} and its remedy`, () => {
    assert.throws(
      () => requireMachine({ ...GOOD, ...facts }),
      (error) => error instanceof WeftError && error.code === code && remedy.test(error.remedy ?? ''),
    );
  });
}

for (const kernelRelease of ['5.15.0', '5.19.1', '6.0.0', '10.1.0', 'unknown']) {
  test(`kernel ${kernelRelease} is not too old`, () => assert.deepEqual(machineProblems({ ...GOOD, kernelRelease }), []));
}

test('several problems are told together', () => {
  const facts = { ...GOOD, userId: 1000, cgroup2Mounts: [], libbpfLoads: false };
  assert.throws(
    () => requireMachine(facts),
    (error) => error instanceof WeftError && error.cause instanceof AggregateError && error.cause.errors.length === 3,
  );
});

test('only root passes requireRoot', () => {
  requireRoot('nothing', 0);
  assert.throws(() => requireRoot('opening a network namespace', 1000), { code: 'WEFT_NOT_ROOT' });
});

test('cgroup v2 is found in a hybrid hierarchy, and escaped paths are read', () => {
  const mounts = [
    'cgroup /sys/fs/cgroup/cpu cgroup rw 0 0',
    'cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0',
    'none /mnt/my\\040cgroup cgroup2 rw 0 0',
    '',
  ];
  assert.deepEqual(cgroup2MountsIn(mounts.join('\n')), ['/sys/fs/cgroup/unified', '/mnt/my cgroup']);
});
