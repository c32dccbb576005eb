import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { App } from '#testbed/lab/app.ts';
import type { NodeName } from '#testbed/nodes/plan.ts';
import { waitUntil } from '#testbed/processes/wait.ts';
import { ask } from '../security/dialling.testing.ts';
import { AttackedMesh } from '../security/mesh.testing.ts';

const program = (name: string, ...args: string[]): string[] => [
  process.execPath,
  join(import.meta.dirname, 'apps', `${name}.ts`),
  ...args,
];
const VICTIMS = { near: { node: 'alpha', vip: '10.96.120.1' }, far: { node: 'beta', vip: '10.96.120.2' } } as const;
const service = (name: string, vip: string): string => `apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: attacks }
spec:
  clusterIP: ${vip}
  selector: { app: ${name} }
  ports: [{ name: web, port: 7000 }, { name: h2, port: 7001 }, { name: tcp, port: 7002 }]
`;
/** Calls end by themselves after four seconds; one more is for a machine with much else to do. */
const LONGEST_MS = 5_000;
/** What a proxy may keep for later: pooled tunnels between two nodes. */
const SPARE_DESCRIPTORS = 8;

type Told = { calls: number; failed: number; slowestMs: number };

/** Servers that end in every way while they are called. */
describe('servers that are killed under load', () => {
  let mesh: AttackedMesh;
  let load: App;
  const victims = new Map<string, App>();
  const executed: string[] = [];

  const startVictim = async (name: keyof typeof VICTIMS): Promise<void> => {
    const app = await mesh.start({ name, node: VICTIMS[name].node, command: program('victim') });
    app.child.onLine((line) => void (line.startsWith('{"executed"') && executed.push(JSON.parse(line).executed)));
    victims.set(name, app);
  };
  const told = async (): Promise<Told> => (await ask<{ told: Told }>(load.child, 'report', 'told')).told;
  const descriptors = (node: NodeName): number => readdirSync(`/proc/${mesh.lab.agent(node).pid}/fd`).length;

  before(async () => {
    const yaml = Object.entries(VICTIMS).map(([name, { vip }]) => service(name, vip));
    mesh = await AttackedMesh.up({ 'services.yaml': yaml.join('---\n') });
    await Promise.all([startVictim('near'), startVictim('far')]);
    load = await mesh.start({
      name: 'load',
      node: 'alpha',
      command: program('killed-load', VICTIMS.near.vip, VICTIMS.far.vip),
    });
    await waitUntil('calls that are answered', 10_000, async () => {
      await sleep(1_000);
      const { calls, failed } = await told();
      return calls > 20 && failed === 0;
    });
  });
  after(() => mesh?.down());

  /** `comes`: whether the process goes on by itself afterwards. */
  const ends: { name: string; comes: boolean; end(app: App): Promise<void> }[] = [
    { name: 'FIN', comes: false, end: async ({ child }) => child.write('finish') },
    { name: 'RST', comes: false, end: async ({ child }) => child.write('reset') },
    { name: 'SIGKILL', comes: false, end: async ({ pid }) => void process.kill(pid, 'SIGKILL') },
    {
      name: 'freeze',
      comes: true,
      async end({ pid }) {
        process.kill(pid, 'SIGSTOP');
        await sleep(6_000);
        process.kill(pid, 'SIGCONT');
      },
    },
  ];
  for (const { name, comes, end } of ends)
    test(`F1, F2: ${name}: no call hangs, none is executed twice, nothing is kept, and the next process is called`, async () => {
      const [alpha, beta] = [descriptors('alpha'), descriptors('beta')];
      await told();
      const apps = [...victims];
      await Promise.all(apps.map(([, app]) => end(app)));
      if (!comes) {
        await Promise.all(apps.map(([, app]) => app.child.ended));
        await Promise.all([startVictim('near'), startVictim('far')]);
      }
      const during = await told();
      await waitUntil('calls that are answered again', 15_000, async () => {
        await sleep(1_000);
        const { calls, failed, slowestMs } = await told();
        during.slowestMs = Math.max(during.slowestMs, slowestMs);
        return calls > 20 && failed === 0;
      });
      assert.ok(during.failed > 0, 'nobody noticed');
      assert.ok(during.slowestMs < LONGEST_MS, `a call took ${during.slowestMs} ms`);
      assert.equal(new Set(executed).size, executed.length, 'a request was executed twice');
      await waitUntil(
        'descriptors that are given back',
        10_000,
        async () => descriptors('alpha') <= alpha + SPARE_DESCRIPTORS && descriptors('beta') <= beta + SPARE_DESCRIPTORS,
      );
    });
});
