// Writes docs/checks.md from the tables of codes in src/model/check.
import { writeFileSync } from 'node:fs';
import { checksPage } from '../test/structure/checks.ts';

writeFileSync(new URL('../docs/checks.md', import.meta.url), checksPage());
