import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readCpus, readMemory, settingsOf } from './limits.ts';

const MIB = 2 ** 20;
for (const [text, want] of [
  ['64m', 64 * MIB],
  ['64M', 64 * MIB],
  ['64MiB', 64 * MIB],
  ['64mb', 64 * MIB],
  ['1.5g', 1_536 * MIB],
  ['1t', 2 ** 40],
  ['8388608', 8 * MIB],
  ['8388608b', 8 * MIB],
  ['16384k', 16 * MIB],
  ['6m', 6 * MIB],
  ['5m', null],
  ['64', null],
  ['', null],
  ['m', null],
  ['-64m', null],
  ['64 m', null],
  ['1e9', null],
  ['64x', null],
  ['999999999999999t', null],
] as const)
  test(`memory: ${JSON.stringify(text)}`, () => assert.equal(readMemory(text), want));

for (const [text, want] of [
  ['1', 1],
  ['0.5', 0.5],
  ['2.25', 2.25],
  ['0.01', 0.01],
  ['0.001', null],
  ['0', null],
  ['-1', null],
  ['half', null],
  ['1,5', null],
  ['99999', null],
] as const)
  test(`processors: ${text}`, () => assert.equal(readCpus(text), want));

const told = (limits: Parameters<typeof settingsOf>[0], version: 1 | 2): string[] =>
  [...settingsOf(limits, version)].flatMap(([controller, settings]) =>
    settings.map(({ file, text }) => `${controller}: ${file} ${text}`),
  );

test('limits are told to the kernel in the words of its version of cgroups, and swap makes no memory', () => {
  const limits = { memoryBytes: 64 * MIB, cpus: 0.5 };
  assert.deepEqual(told(limits, 2), ['memory: memory.max 67108864', 'memory: memory.swap.max 0', 'cpu: cpu.max 50000 100000']);
  assert.deepEqual(told(limits, 1), [
    'memory: memory.limit_in_bytes 67108864',
    'memory: memory.memsw.limit_in_bytes 67108864',
    'cpu: cpu.cfs_period_us 100000',
    'cpu: cpu.cfs_quota_us 50000',
  ]);
  assert.deepEqual(told({ memoryBytes: null, cpus: null }, 2), []);
});
