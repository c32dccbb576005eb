import assert from 'node:assert/strict';
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
