import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { leaveMesh, type UninstallOptions } from '#cli/uninstall.ts';
import { freePort, scratch, serving } from '#main/weft-process.testing.ts';
import { effectsOf } from './uninstall.ts';

/** Directories of a mesh, and the real effects on them with what they tell. */
function aMachine(t: TestContext) {
  const root = scratch(t);
  const options: UninstallOptions = {
    runDir: join(root, 'run'),
    stateDir: join(root, 'state'),
    bpffs: join(root, 'bpf'),
    keepState: false,
  };
  for (const directory of [options.runDir, options.stateDir]) mkdirSync(directory);
  const told: string[] = [];
  return { root, options, told, effects: { ...effectsOf(options), tell: (line: string) => void told.push(line) } };
}

test('uninstall: a running control plane is ended, and its files are gone', async (t) => {
  const { root, options, told, effects } = aMachine(t);
  const { runDir, stateDir } = options;
  mkdirSync(join(root, 'config'));
  const listen = `127.0.0.1:${await freePort()}`;
  const place = ['--config', join(root, 'config'), '--state-dir', stateDir, '--socket', join(runDir, 'control.sock')];
  const control = serving(t, ['control', ...place, '--listen', listen]);
  await control.said('control plane is serving');
  await leaveMesh(options, effects);
  assert.equal((await control.ended).code, 0);
  assert.deepEqual(told, ['control plane: ended', `${runDir}: removed`, `${stateDir}: removed`]);
  assert.deepEqual([existsSync(runDir), existsSync(stateDir)], [false, false]);
});

test('uninstall: what a control plane left that was killed goes too, and a second time there is nothing', async (t) => {
  const { options, told, effects } = aMachine(t);
  writeFileSync(join(options.runDir, 'control.sock'), '');
  mkdirSync(join(options.runDir, 'waypoints', 'shop.waypoint'), { recursive: true });
  writeFileSync(join(options.stateDir, 'root-key.pem'), '');
  await leaveMesh(options, effects);
  assert.deepEqual(told, [`${options.runDir}: removed`, `${options.stateDir}: removed`]);
  await leaveMesh(options, effects);
  assert.deepEqual(told.slice(2), ['nothing to remove']);
});

test('uninstall: the files of somebody else stay, behind a link too', async (t) => {
  const { root, options, effects } = aMachine(t);
  writeFileSync(join(options.stateDir, 'thesis.tex'), '');
  writeFileSync(join(options.runDir, 'notes.txt'), '');
  mkdirSync(join(root, 'elsewhere'));
  writeFileSync(join(root, 'elsewhere', 'kept'), '');
  symlinkSync(join(root, 'elsewhere'), join(options.runDir, 'waypoints')); // what is removed is the link
  await assert.rejects(leaveMesh(options, effects), { code: 'WEFT_UNINSTALL' });
  assert.deepEqual([readdirSync(options.stateDir), readdirSync(options.runDir)], [['thesis.tex'], ['notes.txt']]);
  assert.deepEqual(readdirSync(join(root, 'elsewhere')), ['kept']);
});

test('uninstall: a process is ended by SIGTERM, and is known to have ended', async (t) => {
  const { effects } = aMachine(t);
  const child = spawn('sleep', ['1000']);
  const ended = once(child, 'exit');
  assert.equal(await effects.endsWithin(child.pid ?? 0, 0), false);
  await effects.endProcess(child.pid ?? 0, 10_000);
  assert.deepEqual(await ended, [null, 'SIGTERM']);
  assert.equal(await effects.endsWithin(child.pid ?? 0, 0), true);
});
