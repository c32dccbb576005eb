import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { SHOP } from '#main/control/control-rig.testing.ts';
import { freePort, scratch, serving, weft } from '#main/weft-process.testing.ts';
import { controlClient } from '#platform/local-api/clients.ts';

const SERVES = 'control plane is serving';

/** Directories of a control plane with one file of resources, and the command that runs it. */
async function aControl(t: TestContext) {
  const root = scratch(t);
  const config = join(root, 'config');
  mkdirSync(config);
  writeFileSync(join(config, 'shop.yaml'), SHOP);
  const [socket, stateDir] = [join(root, 'run', 'control.sock'), join(root, 'state')];
  const address = `127.0.0.1:${await freePort()}`;
  const args = ['control', '--config', config, '--state-dir', stateDir, '--listen', address, '--socket', socket];
  return { root, config, socket, stateDir, address, args };
}

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  test(`control: it serves until ${signal}, then ends with 0 and leaves its state alone`, async (t) => {
    const { args, socket, stateDir, address } = await aControl(t);
    const { child, said, ended } = serving(t, args);
    await said(SERVES);
    const status = await controlClient(socket).status();
    assert.deepEqual([status.pid, status.address, status.resources.addresses], [child.pid, address, 2]);
    assert.equal(statSync(socket).mode & 0o777, 0o600);
    child.kill(signal);
    assert.deepEqual([(await ended).code, existsSync(socket)], [0, false]);
    assert.equal(readdirSync(stateDir).includes('root-cert.pem'), true);
  });
}

test('control: after kill -9 the next one takes the same socket and keeps the root', async (t) => {
  const { args, socket } = await aControl(t);
  const first = serving(t, args);
  await first.said(SERVES);
  const { rootsPem } = await controlClient(socket).token({
    node: 'node-1',
    identities: ['shop/*'],
    addresses: [],
    waypoints: false,
  });
  first.child.kill('SIGKILL');
  assert.equal((await first.ended).signal, 'SIGKILL');
  const second = serving(t, args);
  await second.said(SERVES);
  assert.equal(
    (await controlClient(socket).token({ node: 'node-1', identities: ['shop/*'], addresses: [], waypoints: false })).rootsPem,
    rootsPem,
  );
});

test('control: a second one on the same socket is refused, and the first serves on', async (t) => {
  const { args, socket, root } = await aControl(t);
  const first = serving(t, args);
  await first.said(SERVES);
  const elsewhere = ['--state-dir', join(root, 'other'), '--listen', `127.0.0.1:${await freePort()}`];
  const { code, err } = await weft(...args, ...elsewhere);
  assert.equal(code, 1);
  assert.match(err, /weft: another process serves .*control\.sock \(WEFT_ALREADY_RUNNING\)\nremedy: stop it first/);
  assert.equal((await controlClient(socket).status()).pid, first.child.pid);
});

test('control: with --waypoint-agent discovery is served on a socket of its own, gone with it', async (t) => {
  const { args, root } = await aControl(t);
  const { child, said, ended } = serving(t, [...args, '--waypoint-agent', join(root, 'run', 'agent.sock')]);
  await said(SERVES);
  const discovery = join(root, 'run', 'waypoints', 'discovery.sock');
  const answers = (): Promise<boolean> =>
    new Promise((resolve) => {
      const socket = connect(discovery, () => {
        socket.destroy();
        resolve(true);
      }).once('error', () => resolve(false));
    });
  // It is made after the log line, and its file before anybody listens.
  while (!(await answers())) await new Promise((resolve) => setImmediate(resolve));
  child.kill('SIGTERM');
  assert.deepEqual([(await ended).code, existsSync(discovery)], [0, false]);
});

test('control: a directory of resources that is absent, and an address in use, are errors before anything serves', async (t) => {
  const { root, args, config, socket, address } = await aControl(t);
  const absent = await weft(...args, '--config', join(config, 'absent'));
  assert.equal(absent.code, 1);
  assert.match(absent.err, /\(WEFT_CONFIG_DIRECTORY\)\n(cause: .*\n)?remedy: /);
  const holder = serving(t, args);
  await holder.said(SERVES);
  const taken = await weft(...args, '--socket', `${socket}.2`, '--state-dir', join(root, 'state-2'), '--listen', address);
  assert.equal(taken.code, 1);
  assert.match(taken.err, /\(WEFT_LISTEN\)/);
  assert.equal(existsSync(`${socket}.2`), false);
});

test('control: the log is as WEFT_LOG_FORMAT wants it, and a format that is none is an error', async (t) => {
  const { args } = await aControl(t);
  const json = serving(t, args, { WEFT_LOG_FORMAT: 'json' });
  await json.said(SERVES);
  json.child.kill('SIGTERM');
  const lines = (await json.ended).err.trim().split('\n');
  assert.equal(lines.length > 0 && lines.every((line) => typeof JSON.parse(line) === 'object'), true);
  const wrong = await serving(t, args, { WEFT_LOG_FORMAT: 'xml' }).ended;
  assert.match(wrong.err, /WEFT_LOG_FORMAT is "xml" \(WEFT_SETTING\)\nremedy: write one of: text, json/);
});
