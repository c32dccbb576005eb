import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { App } from '#testbed/lab/app.ts';
import { waitUntil } from '#testbed/processes/wait.ts';
import { AttackedMesh, serviceYaml } from '../security/mesh.testing.ts';

const app = (name: string, ...args: string[]): string[] => [
  process.execPath,
  join(import.meta.dirname, 'apps', `${name}.ts`),
  ...args,
];
const [NEAR, FAR] = ['10.96.107.1', '10.96.107.2'];
const ROUNDS = 4;

/** Jobs that write and are gone: their whole workload leaves at once. */
describe('what was written last', () => {
  let mesh: AttackedMesh;
  const heard: { heard: number; error: string | null }[] = [];
  before(async () => {
    mesh = await AttackedMesh.up({ 'services.yaml': [serviceYaml('near', NEAR), serviceYaml('far', FAR)].join('---\n') });
    const command = app('listener', '::', 'sink');
    const sinks: App[] = await Promise.all([
      mesh.start({ name: 'near', node: 'alpha', command }),
      mesh.start({ name: 'far', node: 'beta', command }),
    ]);
    for (const { child } of sinks) child.onLine((line) => void (line.startsWith('{"heard"') && heard.push(JSON.parse(line))));
  });
  after(() => mesh?.down());

  for (const [where, vip] of [
    ['on the same node', NEAR],
    ['on another node', FAR],
  ] as const)
    for (const bytes of [9, 1_000_000])
      test(`F7: ${bytes} bytes to a workload ${where} arrive, although their process and its workload are gone`, async () => {
        for (let round = 0; round < ROUNDS; round++) {
          heard.length = 0;
          const job = await mesh.start({ name: 'job', node: 'alpha', command: app('last-words', vip, '7', String(bytes)) });
          job.child.write('speak');
          await job.child.ended;
          await waitUntil('what the sink heard', 10_000, async () => heard.length > 0);
          assert.deepEqual(heard, [{ heard: bytes, error: null }]);
        }
      });
});
