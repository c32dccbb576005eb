import { join } from 'node:path';
import test from 'node:test';
import { referencePage } from './cli-page.ts';
import { matchesGolden } from './golden.ts';
import { ROOT } from './source-files.ts';

test('docs/cli.md is what the definitions of the commands say', () => matchesGolden(join(ROOT, 'docs/cli.md'), referencePage()));
