import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fieldsPage } from './fields.ts';
import { ROOT } from './source-files.ts';

test('docs/fields.md is what the tables of the kinds say', () => {
  const page = readFileSync(join(ROOT, 'docs/fields.md'), 'utf8');
  assert.equal(page, fieldsPage(), 'run node scripts/fields-page.ts');
});

test('every treatment is on the page with its reason', () => {
  const page = fieldsPage([
    {
      kind: 'Crate',
      group: 'fruit.example',
      versions: ['v1'],
      fields: {
        'spec.a': { is: 'enforced', except: { X: { why: 'no x', remedy: 'none' } } },
        'spec.b': { is: 'refused', why: 'seen' },
        'spec.c': { is: 'ignored', why: 'lost', remedy: 'find it', harmless: [0] },
        'spec.d': { is: 'elsewhere', why: 'theirs' },
      },
    },
  ]);
  for (const row of [
    '| `spec.a` | **enforced**; ignored: `X`: no x |',
    '| `spec.b` | **told**: seen |',
    '| `spec.c` | **ignored** (but for `0`): lost. Remedy: find it |',
    '| `spec.d` | **elsewhere**: theirs |',
  ])
    assert.equal(page.split(row).length, 2, row);
});
