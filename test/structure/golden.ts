import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, relative } from 'node:path';
import { ROOT } from './source-files.ts';

/**
 * Asserts that `text` is what the file at `path` (absolute) holds.
 * With WEFT_GOLDEN=write the file is rewritten instead; the difference is reviewed like code.
 */
export function matchesGolden(path: string, text: string): void {
  if (process.env.WEFT_GOLDEN === 'write') {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  }
  assert.equal(text, readOrEmpty(path), `${relative(ROOT, path)} differs; WEFT_GOLDEN=write rewrites it`);
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
