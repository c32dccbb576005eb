import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { App } from '#testbed/lab/app.ts';
import { command } from '#testbed/processes/command.ts';
import { inNetnsOf } from '#testbed/processes/command-lines.ts';
import { waitUntil } from '#testbed/processes/wait.ts';
import { ask } from '../security/dialling.testing.ts';
import { AttackedMesh } from '../security/mesh.testing.ts';
import { GATEWAY_YAML } from '../security/waypoint.testing.ts';

const program = (name: string, ...args: string[]): string[] => [
  process.execPath,
  join(import.meta.dirname, 'apps', `${name}.ts`),
  ...args,
];
const VICTIMS = { near: 'alpha', far: 'beta' } as const;
type Victim = keyof typeof VICTIMS;
/** By which each is called: as it is, and through the waypoint, which runs on alpha. */
const VIPS: Readonly<Record<Victim, { plain: string; bound: string }>> = {
  near: { plain: '10.96.120.1', bound: '10.96.120.3' },
  far: { plain: '10.96.120.2', bound: '10.96.120.4' },
};
const [WAYS, PROTOCOLS] = [Object.values(VIPS).flatMap(({ plain, bound }) => [plain, bound]), 5];
const descriptorsOf = (pid: number): number => readdirSync(`/proc/${pid}/fd`).length;
const service = (app: Victim, way: 'plain' | 'bound'): string => `apiVersion: v1
kind: Service
metadata: { name: ${app}-${way}, namespace: attacks${way === 'bound' ? ', labels: { istio.io/use-waypoint: waypoint }' : ''} }
spec:
  clusterIP: ${VIPS[app][way]}
  selector: { app: ${app} }
  ports:
    - { name: web, port: 7000, appProtocol: http }
    - { name: h2, port: 7001, appProtocol: http2 }
    - { name: tcp, port: 7002, appProtocol: tcp }
    - { name: grpc, port: 7003, appProtocol: grpc }
`;
/** Calls end by themselves after four seconds; one more is for a machine with much else to do. */
const LONGEST_MS = 5_000;
const CALL_MS = 4_000;
/** A node that vanished is noticed within TUNNEL.unacknowledgedMs. */
const RECOVERY_MS = 20_000;
/** Rules that drop what passes an interface, or every one. */
const dropping = (name: string): string =>
  ['input', 'forward', 'output']
    .map((hook) => {
      const match = name === '' ? '' : hook === 'output' ? `oif${name}` : `iif${name}`;
      const also = hook === 'forward' && name !== '' ? `oif${name} drop;` : '';
      return `chain ${hook} { type filter hook ${hook} priority -300; ${match}drop; ${also} }`;
    })
    .join('; ');
/** What a proxy may keep for later: pooled tunnels between two nodes. */
const SPARE_DESCRIPTORS = 8;

type Told = { way: string; calls: number; failed: number; slowestMs: number };

/** Servers that end in every way while they are called. */
describe('servers that are killed under load', () => {
  let mesh: AttackedMesh;
  let load: App;
  const victims = new Map<Victim, App>();
  const executed: string[] = [];

  const startVictim = async (name: Victim): Promise<void> => {
    const app = await mesh.start({ name, node: VICTIMS[name], command: program('victim') });
    app.child.onLine((line) => void (line.startsWith('{"executed"') && executed.push(JSON.parse(line).executed)));
    victims.set(name, app);
  };
  const told = async (): Promise<Told[]> => (await ask<{ told: Told[] }>(load.child, 'report', 'told')).told;
  /** All of one report: how many calls there were, and of how many ways some failed, or none came to an end. */
  const answered = (ways: readonly Told[]): boolean =>
    ways.length === WAYS.length * PROTOCOLS && ways.every(({ calls, failed }) => calls > 5 && failed === 0);
  const descriptors = (): number[] => [mesh.lab.agent('alpha').pid, mesh.lab.agent('beta').pid, waypointPid].map(descriptorsOf);
  let waypointPid = 0;

  before(async () => {
    const yaml = (['near', 'far'] as const).flatMap((app) => [service(app, 'plain'), service(app, 'bound')]);
    mesh = await AttackedMesh.up({ 'services.yaml': yaml.join('---\n'), 'gateway.yaml': GATEWAY_YAML });
    await Promise.all([startVictim('near'), startVictim('far')]);
    load = await mesh.start({ name: 'load', node: 'alpha', command: program('killed-load', ...WAYS) });
    await waitUntil('calls that are answered', 20_000, async () => {
      await sleep(1_000);
      return answered(await told());
    });
    const kept = readFileSync(join(mesh.lab.paths.waypointDir, 'attacks.waypoint.json'), 'utf8');
    waypointPid = (JSON.parse(kept) as { pid: number }).pid;
  });
  after(() => mesh?.down());

  /**
   * Nothing goes out of the app's node any more, or out of its namespace, and nothing comes in: not even for what ends there. The
   * agent of that node is gone, too, and another is there when the wire is again.
   */
  const vanish = async ({ name, pid }: App): Promise<void> => {
    if (name === 'near') await command(inNetnsOf(pid, ['nft', `table inet vanish { ${dropping('')}; }`]));
    else await mesh.onNode('beta', ['nft', `table inet vanish { ${dropping('name "wire" ')}; }`]);
    await sleep(CALL_MS + 500);
    process.kill(pid, 'SIGKILL');
    if (name === 'far') await mesh.lab.restart('beta', 'SIGKILL');
  };
  const signal =
    (name: NodeJS.Signals) =>
    async ({ pid }: App): Promise<void> =>
      void process.kill(pid, name);
  const freeze = async ({ pid }: App): Promise<void> => {
    process.kill(pid, 'SIGSTOP');
    await sleep(6_000);
    process.kill(pid, 'SIGCONT');
  };

  /** `comes`: whether the process goes on by itself afterwards. `heal`: what the next one needs. */
  const ends: { name: string; comes?: true; end(app: App): Promise<void>; heal?(): Promise<unknown> }[] = [
    { name: 'FIN', end: async ({ child }) => child.write('finish') },
    { name: 'RST', end: async ({ child }) => child.write('reset') },
    { name: 'SIGKILL', end: signal('SIGKILL') },
    { name: 'freeze', comes: true, end: freeze },
    { name: 'vanish', end: vanish, heal: () => mesh.onNode('beta', ['nft', 'delete', 'table', 'inet', 'vanish']) },
  ];
  for (const { name, comes, end, heal } of ends)
    test(`F1, F2: ${name}: no call hangs, none is executed twice, nothing is kept, and the next process is called`, async (t) => {
      const before = descriptors();
      await told();
      const apps = [...victims];
      const beganMs = performance.now();
      await Promise.all(apps.map(([, app]) => end(app)));
      if (comes !== true) {
        await Promise.all(apps.map(([, app]) => app.child.ended));
        await heal?.();
        await Promise.all([startVictim('near'), startVictim('far')]);
      }
      const during = [...(await told())];
      const startedMs = performance.now();
      await waitUntil('calls that are answered again', RECOVERY_MS, async () => {
        await sleep(500);
        const now = await told();
        during.push(...now);
        return answered(now);
      });
      const failed = new Map<string, number>();
      for (const one of during) failed.set(one.way, (failed.get(one.way) ?? 0) + one.failed);
      const times = { ended: startedMs - beganMs, recovered: performance.now() - startedMs };
      t.diagnostic(JSON.stringify({ ...times, failed: Object.fromEntries(failed) }));
      assert.equal(failed.size, WAYS.length * PROTOCOLS);
      assert.ok(
        during.some((one) => one.failed > 0),
        'nobody noticed',
      );
      const slow = during.filter(({ slowestMs }) => slowestMs >= LONGEST_MS);
      assert.deepEqual(slow, [], 'calls that took too long');
      assert.equal(new Set(executed).size, executed.length, 'a request was executed twice');
      await waitUntil('descriptors that are given back', 10_000, async () =>
        descriptors().every((count, at) => count <= (before[at] ?? 0) + SPARE_DESCRIPTORS),
      );
    });
});
