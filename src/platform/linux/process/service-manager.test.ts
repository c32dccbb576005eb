import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { listenAsManager } from './service-manager.testing.ts';
import { serviceManager } from './service-manager.ts';

function aManager(t: TestContext, name = '') {
  const dir = mkdtempSync(join(tmpdir(), 'weft-notify-'));
  const path = name === '' ? join(dir, 'notify') : name;
  const manager = listenAsManager(path);
  t.after(() => {
    manager.close();
    rmSync(dir, { recursive: true });
  });
  return { path, heard: manager.heard };
}

for (const name of ['', `@weft-test-${process.pid}`])
  test(`H12: what a service does is told on ${name === '' ? 'a path' : 'a name without a file'}`, (t) => {
    const { path, heard } = aManager(t, name);
    const told = serviceManager({ NOTIFY_SOCKET: path });
    told?.ready();
    told?.reloading();
    told?.alive();
    told?.stopping();
    const [ready, reloading = '', alive, stopping] = heard();
    assert.deepEqual([ready, alive, stopping], ['READY=1', 'WATCHDOG=1', 'STOPPING=1']);
    assert.match(reloading, /^RELOADING=1\nMONOTONIC_USEC=\d+$/);
  });

test('H12: what this process starts does not speak in its place', (t) => {
  const env = { NOTIFY_SOCKET: aManager(t).path, WATCHDOG_USEC: '1', WATCHDOG_PID: '2', HOME: '/' };
  serviceManager(env);
  assert.deepEqual(env, { HOME: '/' });
});

test('H12: the watchdog counts only whom it means', (t) => {
  const NOTIFY_SOCKET = aManager(t).path;
  assert.equal(serviceManager({ NOTIFY_SOCKET })?.watchdogMs, null);
  assert.equal(serviceManager({ NOTIFY_SOCKET, WATCHDOG_USEC: '30000000' })?.watchdogMs, 30_000);
  assert.equal(serviceManager({ NOTIFY_SOCKET, WATCHDOG_USEC: '30000000', WATCHDOG_PID: '7' }, 7)?.watchdogMs, 30_000);
  assert.equal(serviceManager({ NOTIFY_SOCKET, WATCHDOG_USEC: '30000000', WATCHDOG_PID: '8' }, 7)?.watchdogMs, null);
});

test('H12: without a manager, or with one that is gone, nothing happens', () => {
  assert.equal(serviceManager({}), null);
  assert.equal(serviceManager({ NOTIFY_SOCKET: 'vsock:2:1' }), null);
  serviceManager({ NOTIFY_SOCKET: '/nowhere/notify' })?.ready();
});

test('F8, H12: a process that takes the place of another says that it is the main one, and is watched as that was', (t) => {
  const { path, heard } = aManager(t);
  const env: NodeJS.ProcessEnv = {
    ...serviceManager({ NOTIFY_SOCKET: path, WATCHDOG_USEC: '30000000', WATCHDOG_PID: '7' }, 7)?.successor,
  };
  const next = serviceManager(env, 8);
  next?.ready();
  assert.deepEqual(heard(), ['MAINPID=8\nREADY=1']);
  assert.deepEqual([next?.watchdogMs, env], [30_000, {}]);
});
