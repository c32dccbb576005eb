import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

const WEFT = new URL('../../bin/weft', import.meta.url).pathname;
const NAMES = [
  'direct',
  'hbone',
  'seen',
  'denied',
  'policy-change',
  'waypoint',
  'plaintext',
  'dns',
  'passthrough',
  'bystander',
  'agent-crash',
  'control-away',
  'bad-yaml',
  'cleanup',
];

type Result = { ok: boolean; checks: { name: string; path: string; ok: boolean; detail: string }[] };

/** The demo's checks are the end-to-end tests of the spine: two nodes, real processes, judged from outside. */
describe('the bookshop on two nodes', () => {
  const dir = mkdtempSync(join(tmpdir(), 'weft-e2e-'));
  let output = '';
  let result: Result = { ok: false, checks: [] };

  before(async () => {
    const json = join(dir, 'demo.json');
    output = await new Promise((resolve) => {
      execFile(WEFT, ['demo', '--once', '--json', json], { maxBuffer: 1 << 24 }, (_error, stdout, stderr) =>
        resolve(stdout + stderr),
      );
    });
    try {
      result = JSON.parse(readFileSync(json, 'utf8')) as Result;
    } catch {
      assert.fail(`the demo wrote no results:\n${output}`);
    }
  });
  after(() => rmSync(dir, { recursive: true, force: true }));

  for (const name of NAMES) {
    test(name, () => {
      const check = result.checks.find((one) => one.name === name);
      assert.ok(check, `no check "${name}":\n${output}`);
      assert.ok(check.ok, check.detail);
    });
  }

  test('the verdict of the whole is that of its parts', () => {
    assert.deepEqual(result.checks.map(({ name }) => name).sort(), [...NAMES].sort());
    assert.equal(
      result.ok,
      result.checks.every(({ ok }) => ok),
    );
  });
});
