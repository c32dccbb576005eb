import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { isOwnFile } from '#model/instance/mark.ts';
import { joinFormers } from './former-agents.ts';

test('K145: a former agent knows how many came after it and live; one that was killed is forgotten, and all names are ours', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'weft-formers-'));
  t.after(() => rmSync(directory, { recursive: true }));
  writeFileSync(join(directory, 'former-00000000000000000009.lock'), '');
  writeFileSync(join(directory, 'agent.sock'), '');
  const [first, second, third] = [7n, 8n, 10n].map((nowNs) => joinFormers(directory, nowNs));
  assert.deepEqual([first?.newer(), second?.newer(), third?.newer()], [2, 1, 0]);
  for (const name of readdirSync(directory)) assert.ok(isOwnFile('node', name), name);
  third?.leave();
  assert.equal(first?.newer(), 1);
  first?.leave();
  second?.leave();
  assert.deepEqual(readdirSync(directory), ['agent.sock']);
});
