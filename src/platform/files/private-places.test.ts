import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { privatePlaces, registerPrivate } from './private-places.ts';

const root = mkdtempSync(join(tmpdir(), 'weft-private-'));
after(() => rmSync(root, { recursive: true }));

test('what was written down is known by its real path, once, until it is gone', () => {
  const register = join(root, 'register');
  const state = join(root, 'state');
  mkdirSync(state);
  symlinkSync(state, join(root, 'link'));
  assert.deepEqual(privatePlaces(register), []);
  assert.equal(registerPrivate([state, join(root, 'link')], register), true);
  assert.deepEqual(privatePlaces(register), [state]);
  rmSync(state, { recursive: true });
  assert.deepEqual(privatePlaces(register), []);
  assert.equal(existsSync(register), false);
});

test('what is not there cannot be written down, and that is told', () => {
  assert.equal(registerPrivate([join(root, 'absent')], join(root, 'register')), false);
});

/** Meshes of another process, each as short-lived as can be; with none left the register itself goes. */
const OTHERS = `
const [source, place, register] = process.argv.slice(1);
const { registerPrivate, privatePlaces } = await import(source);
const { mkdirSync, rmSync } = await import('node:fs');
for (let round = 0; round < 300; round++) {
  mkdirSync(place + round % 3, { recursive: true });
  if (!registerPrivate([place + round % 3], register)) process.exit(3);
  rmSync(place + round % 3, { recursive: true });
  privatePlaces(register);
}`;

test('while other meshes come and go, nothing fails and nothing that is there is missed', async () => {
  const [register, stays] = [join(root, 'busy'), join(root, 'stays')];
  mkdirSync(stays);
  const source = new URL('./private-places.ts', import.meta.url).href;
  let running = 2;
  const codes: (number | null)[] = [];
  for (const name of ['a', 'b']) {
    const args = ['--input-type=module', '-e', OTHERS, '--', source, join(root, name), register];
    spawn(process.execPath, args, { stdio: ['ignore', 'inherit', 'inherit'] }).once('exit', (code) => {
      codes.push(code);
      running -= 1;
    });
  }
  while (running > 0) {
    assert.equal(registerPrivate([stays], register), true);
    for (let look = 0; look < 20; look++) assert.ok(privatePlaces(register).includes(stays));
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.deepEqual(codes, [0, 0]);
});
