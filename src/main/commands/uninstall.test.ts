import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { describeError } from '#cli/report-error.ts';
import { leaveMesh, type UninstallOptions } from '#cli/uninstall.ts';
import { freePort, scratch, serving } from '#main/weft-process.testing.ts';
import { claimDirectory } from '#platform/files/marked-directory.ts';
import { effectsOf } from './uninstall.ts';

/** Directories of a mesh, and the real effects on them with what they tell. */
function aMachine(t: TestContext) {
  const root = scratch(t);
  const options: UninstallOptions = {
    runDir: join(root, 'run'),
    stateDir: join(root, 'state'),
    bpffs: join(root, 'bpf'),
    keepState: false,
    yes: true,
  };
  const told: string[] = [];
  // Meshes of others may live on this machine meanwhile, and each is told to be left.
  const isOthers = (line: string): boolean => line.startsWith('left: node ') && !line.includes(root);
  const tell = (line: string): void => void (isOthers(line) || told.push(line));
  return { root, options, told, effects: { ...effectsOf(options), tell } };
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

/** What a control plane leaves that is killed. */
function leaveBehind({ runDir, stateDir }: UninstallOptions): void {
  claimDirectory(runDir, { kind: 'run' });
  claimDirectory(join(runDir, 'waypoints'), { kind: 'waypoints' });
  claimDirectory(stateDir, { kind: 'state', runDir });
  writeFileSync(join(runDir, 'waypoints', 'shop.waypoint.log'), '');
  mkdirSync(join(stateDir, 'registry'));
  for (const file of ['root-key.pem', 'registry/node-1.json']) writeFileSync(join(stateDir, file), '');
}

test('H1: what a control plane left that was killed goes too, and a second time there is nothing', async (t) => {
  const { options, told, effects } = aMachine(t);
  leaveBehind(options);
  await leaveMesh(options, effects);
  assert.deepEqual(told, [`${options.runDir}: removed`, `${options.stateDir}: removed`]);
  await leaveMesh(options, effects);
  assert.deepEqual(told.slice(2), ['nothing to remove']);
});

test('H1: of directories that bear no mark nothing is removed, whatever their files are called', async (t) => {
  const { root, options, told, effects } = aMachine(t);
  for (const folder of ['run/waypoints', 'run/docs', 'state/registry', 'elsewhere'])
    mkdirSync(join(root, folder), { recursive: true });
  for (const file of [
    'state/root-cert.pem',
    'state/thesis.tex',
    'run/notes.txt',
    'run/control.sock',
    'run/waypoints/a.b.log',
    'elsewhere/kept',
  ])
    writeFileSync(join(root, file), '');
  symlinkSync(join(root, 'elsewhere'), join(options.runDir, 'link'));
  const before = readdirSync(root, { recursive: true }).sort();
  await leaveMesh(options, effects);
  assert.deepEqual(readdirSync(root, { recursive: true }).sort(), before);
  assert.equal(told.at(-1), 'nothing to remove');
});

test("H1: of a directory that bears our mark what is somebody else's stays, and is named", async (t) => {
  const { options, effects } = aMachine(t);
  leaveBehind(options);
  mkdirSync(join(options.stateDir, 'thesis'));
  for (const file of ['thesis/chapter.tex', 'registry/notes.txt']) writeFileSync(join(options.stateDir, file), '');
  writeFileSync(join(options.runDir, 'notes.txt'), '');
  await assert.rejects(leaveMesh(options, effects), (error: unknown) => {
    assert.match(describeError(error, false), /notes\.txt[\s\S]*thesis/);
    return true;
  });
  assert.deepEqual(readdirSync(options.runDir), ['notes.txt', 'weft.json']);
  assert.deepEqual(readdirSync(options.stateDir, { recursive: true }).sort(), [
    'registry',
    'registry/notes.txt',
    'thesis',
    'thesis/chapter.tex',
    'weft.json',
  ]);
});

test('H1: a copy of a mesh is none, and neither is the mesh of another run directory', async (t) => {
  const { root, options, told } = aMachine(t);
  leaveBehind(options);
  const backup = { ...options, runDir: join(root, 'backup/run'), stateDir: join(root, 'backup/state') };
  for (const folder of ['run', 'state']) cpSync(join(root, folder), join(root, 'backup', folder), { recursive: true });
  const before = readdirSync(root, { recursive: true }).sort();
  const tell = (line: string): void => void told.push(line);
  await leaveMesh(backup, { ...effectsOf(backup), tell });
  const empty = { ...options, runDir: join(root, 'nothing') };
  await leaveMesh(empty, { ...effectsOf(empty), tell });
  assert.deepEqual(readdirSync(root, { recursive: true }).sort(), before);
  assert.equal(told.includes(`left: ${options.stateDir}, which belongs to the control plane of ${options.runDir}`), true);
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
