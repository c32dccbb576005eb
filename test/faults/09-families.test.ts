import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { App } from '#testbed/lab/app.ts';
import { ask } from '../security/dialling.testing.ts';
import { AttackedMesh } from '../security/mesh.testing.ts';

const [VIP4, VIP6] = ['10.96.109.1', 'fd96::109:1'];
const SERVICE = `apiVersion: v1
kind: Service
metadata: { name: server, namespace: attacks }
spec:
  clusterIPs: [${VIP4}, "${VIP6}"]
  ipFamilies: [IPv4, IPv6]
  ipFamilyPolicy: RequireDualStack
  selector: { app: server }
  ports: [{ name: tcp, port: 7, targetPort: 7000 }]
`;

/** An app that listens on one family, behind a service that has both. */
describe('a dual-stack service on another node', () => {
  let mesh: AttackedMesh;
  let dialler: App;
  before(async () => {
    mesh = await AttackedMesh.up({ 'server.yaml': SERVICE });
    const app = (name: string, ...args: string[]) => [process.execPath, join(import.meta.dirname, 'apps', `${name}.ts`), ...args];
    await mesh.start({ name: 'server', node: 'beta', command: app('listener', '0.0.0.0', 'echo') });
    dialler = await mesh.start({ name: 'client', node: 'alpha', command: app('steady-dialler', `${VIP4}/7`, `${VIP6}/7`) });
  });
  after(() => mesh?.down());

  test('F9: an app that listens on IPv4 alone answers at both addresses of its service', async () => {
    await ask(dialler.child, 'begin', 'tallies');
    await sleep(1_000);
    const { tallies } = await ask<{ tallies: { target: string; tried: number; failed: number }[] }>(
      dialler.child,
      'report',
      'tallies',
    );
    for (const { target, tried, failed } of tallies) assert.ok(tried > 20 && failed === 0, `${target}: ${failed} of ${tried}`);
  });
});
