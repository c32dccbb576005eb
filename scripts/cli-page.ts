// Writes docs/cli.md from the definitions of the commands: node scripts/cli-page.ts
import { writeFileSync } from 'node:fs';
import { referencePage } from '../test/structure/cli-page.ts';

writeFileSync(new URL('../docs/cli.md', import.meta.url), referencePage());
