import assert from 'node:assert/strict';
import { once } from 'node:events';
import { globSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { agentClient, controlClient } from '#platform/local-api/clients.ts';
import { waitUntil } from '#testbed/processes/wait.ts';
import { type Program, WEFT } from '../e2e/programs.testing.ts';
import { Host } from './host.testing.ts';

const appOf = (name: string): string => new URL(`./apps/${name}.ts`, import.meta.url).pathname;
const UNTIL_MS = 60_000; // a machine that does much else besides

/** Two services over one workload, one of them by way of a waypoint, and a second workload that the policy is about. */
const MESH = `
apiVersion: v1
kind: Service
metadata: { name: echo, namespace: default }
spec: { selector: { app: web }, ports: [{ name: tcp, port: 7000 }] }
---
apiVersion: v1
kind: Service
metadata: { name: other, namespace: default }
spec: { selector: { app: other }, ports: [{ name: tcp, port: 7000 }] }
---
apiVersion: v1
kind: Service
metadata: { name: front, namespace: default, labels: { istio.io/use-waypoint: gate } }
spec: { selector: { app: web }, ports: [{ name: http, port: 80, targetPort: 8080 }] }
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: gate, namespace: default, labels: { istio.io/waypoint-for: service } }
spec: { gatewayClassName: weft-waypoint, listeners: [{ name: mesh, port: 15008, protocol: HBONE }] }
`;
const DENY = `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: nobody, namespace: default }
spec: { selector: { matchLabels: { app: other } }, action: DENY, rules: [{ from: [{ source: { namespaces: [default] } }] }] }
`;

/** What the processes of the mesh take their clock from: that of the machine and a difference that a file tells. */
const [FAKETIME = ''] = globSync('/usr/lib/*/faketime/libfaketime.so.1');
const CLOCK = `export LD_PRELOAD=${FAKETIME} FAKETIME_NO_CACHE=1 FAKETIME_DONT_FAKE_MONOTONIC=1`;

type Round = { rounds: number; echoed: number; ended: string | null; dialled: string; other: string; asked: string };

describe('what watches, and what is full', () => {
  const host = new Host({ smallDisks: 2 << 20 });
  const clockFile = join(host.root, 'clock');
  const fifo = join(host.root, 'fifo');
  let up: Program;
  let caller: Program;

  /** A path of the host, as this process finds it. */
  const seen = (path: string): string => join(`/proc/${up.child.pid}/root`, path);
  const agent = () => agentClient(seen(host.agentSocket));
  const control = () => controlClient(seen(join(host.runDir, 'control.sock')));

  /** Starts `weft up` by a line of a shell, with the command in `$@`; parts that run already are gone on with. */
  async function upBy(script: string): Promise<void> {
    const words = [WEFT, 'up', host.config, '--node', host.node, ...host.place];
    up = await host.start('sh', '-c', `${CLOCK} FAKETIME_TIMESTAMP_FILE=${clockFile}; ${script}`, 'sh', ...words);
    await waitUntil('mesh', UNTIL_MS, async () => {
      const { connected, syncedAt } = (await agent().status()).controlPlane;
      return connected && syncedAt !== null;
    });
  }

  /** Leaves the parts to the next `weft up`. */
  async function endUp(): Promise<void> {
    const [pid] = (await host.lines('cat', join(host.runDir, host.node, 'up.lock'))).map(Number);
    assert.ok(pid !== undefined && pid > 1);
    process.kill(pid, 'SIGKILL');
  }

  /** Kills both parts; returns when others stand in their places, which inherited what `weft up` writes to. */
  async function again(): Promise<void> {
    const before = await Promise.all([agent().status(), control().status()]);
    for (const { pid } of before) process.kill(pid, 'SIGKILL');
    await waitUntil('other agent and control plane', UNTIL_MS, async () => {
      const [{ pid, controlPlane }, { pid: other }] = await Promise.all([agent().status(), control().status()]);
      return !before.some((one) => one.pid === pid || one.pid === other) && controlPlane.connected;
    });
  }

  function latest(): Round | null {
    const line = caller.output().trimEnd().split('\n').at(-1) ?? '';
    return line.startsWith('{') && line.endsWith('}') ? (JSON.parse(line) as Round) : null;
  }

  function until(what: string, condition: (round: Round) => boolean): Promise<Round> {
    return waitUntil(what, UNTIL_MS, () => {
      const round = latest();
      if (round?.ended != null) throw new Error(`the kept connection has ended: ${round.ended}`);
      return round !== null && condition(round) ? round : null;
    }).catch((error: unknown) => {
      throw new Error(`${what}: ${JSON.stringify(latest())}`, { cause: error });
    });
  }

  /** Connections live, new ones come about by every way, and a policy that is written or taken away now is in force. */
  async function goesOn(): Promise<void> {
    const { rounds = 0, echoed = 0 } = latest() ?? {};
    const isWell = (round: Round): boolean => [round.dialled, round.asked].every((outcome) => outcome === 'ok');
    // A round that began before may have met what was going on then.
    await until('new connections', (round) => round.rounds > rounds + 1 && isWell(round) && round.other === 'ok');
    writeFileSync(join(host.config, 'deny.yaml'), DENY);
    const denied = await until('policy in force', (round) => isWell(round) && round.other === 'ECONNREFUSED');
    rmSync(join(host.config, 'deny.yaml'));
    const last = await until('policy away', (round) => round.rounds > denied.rounds && isWell(round) && round.other === 'ok');
    assert.ok(last.echoed > echoed + 2, 'the kept connection carries');
  }

  before(async () => {
    assert.notEqual(FAKETIME, '', 'the package libfaketime is not installed');
    writeFileSync(join(host.config, 'mesh.yaml'), MESH);
    writeFileSync(clockFile, '+0');
    // A session of its own within: to that the end of the terminal is no signal.
    await upBy(`exec script -qfc "setsid -w $(printf "'%s' " "$@")" /dev/null`);
    const run = (name: string, ...command: string[]): Promise<Program> =>
      host.run(name, [process.execPath, ...command], '--label', `app=${name}`);
    for (const server of await Promise.all(['web', 'other'].map((name) => run(name, appOf('servers')))))
      await server.until(/listening/);
    caller = await run('caller', appOf('caller'), 'echo.default/7000', 'other.default/7000', 'front.default/80');
    await goesOn();
  });
  after(() => host.close());

  test('H4: the terminal is gone', async () => {
    const held = up;
    up = caller; // what it shows of the host is the same
    held.child.kill('SIGKILL');
    await once(held.child, 'exit');
    await goesOn();
    await again();
    await goesOn();
  });

  test('H4: nobody reads the log, and then its reader goes', async () => {
    await endUp();
    const reader = await host.start('sh', '-c', `mkfifo ${fifo} && exec 3<>${fifo} && echo reads && exec sleep 1000`);
    await reader.until(/reads/);
    await upBy(`WEFT_LOG_LEVEL=debug exec "$@" >${fifo} 2>&1`);
    const full = `dd if=/dev/zero of=${fifo} bs=4k oflag=nonblock 2>/dev/null; true`;
    await host.lines('sh', '-c', full);
    await goesOn();
    await again();
    await goesOn();
    reader.child.kill('SIGKILL');
    await once(reader.child, 'exit');
    await goesOn();
  });

  test('H4: the log has no room', async () => {
    await endUp();
    await upBy('exec "$@" >/dev/full 2>/dev/full');
    await again();
    await goesOn();
  });

  const fill = (directory: string): Promise<string[]> =>
    host.lines('sh', '-c', `dd if=/dev/zero of=${directory}/ballast bs=1k 2>/dev/null; true`);

  test('H4: the disk of the state is full, and then it is read-only', async () => {
    await fill(host.stateDir);
    await goesOn();
    await host.lines('rm', join(host.stateDir, 'ballast'));
    await host.lines('sh', '-c', `mount --bind ${host.stateDir} ${host.stateDir} && mount -o remount,bind,ro ${host.stateDir}`);
    await goesOn();
    await host.lines('umount', host.stateDir);
  });

  test('H4: /run is full: what runs goes on, what begins is told why it cannot, and what ends is gone', async () => {
    const late = await host.run('late', ['sh', '-c', 'trap exit TERM; echo here; while :; do sleep 0.05; done']);
    await late.until(/here/);
    await fill('/run');
    await goesOn();
    await again();
    await goesOn();
    const begun = await host.run('begun', ['true']);
    assert.notEqual(await begun.ended, 0);
    assert.match(
      begun.output(),
      /cannot write .*begun: no room is left on its file system \(ENOSPC\).*\n.*free some space where the run directory is/,
    );
    late.child.kill('SIGTERM');
    await late.ended;
    const { enrolled } = await agent().status();
    assert.deepEqual(enrolled.map(({ name }) => name).sort(), ['caller', 'gate', 'other', 'web']);
    await host.lines('rm', '/run/ballast');
    assert.equal(await (await host.run('begun', ['true'])).ended, 0);
  });

  test('H4: the clock jumps, an hour ahead and back, and an hour behind', async () => {
    writeFileSync(clockFile, '+3600');
    await goesOn();
    writeFileSync(clockFile, '+0');
    await goesOn();
    writeFileSync(clockFile, '-3600');
    await goesOn();
    await again();
    await goesOn();
  });
});
