import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { capabilitiesPage } from './capabilities.ts';
import { ROOT } from './source-files.ts';

test('docs/capabilities.md is what the table says', () => {
  const page = readFileSync(join(ROOT, 'docs/capabilities.md'), 'utf8');
  assert.equal(page, capabilitiesPage(), 'run node scripts/capabilities-page.ts');
});

test('every capability is on the page once', () => {
  const page = capabilitiesPage({
    A: { kept: true, leaves: false, why: 'x' },
    B: { kept: false, leaves: false, why: 'y' },
    C: { kept: false, leaves: true, why: 'z' },
  });
  for (const line of ['| `A` | x |', '| `B` | y |', '| `C` | z |']) assert.equal(page.split(line).length, 2);
});
