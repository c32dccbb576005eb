// Writes docs/cli.md, the manual and the completions of shells from the definitions of the commands: node scripts/cli-page.ts
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { referencePage, shellPages } from '../test/structure/cli-page.ts';

const root = new URL('../', import.meta.url);
writeFileSync(new URL('docs/cli.md', root), referencePage());
for (const folder of ['packaging/man', 'packaging/completions']) {
  rmSync(new URL(folder, root), { recursive: true, force: true }); // a command that is gone leaves no page
  mkdirSync(new URL(folder, root), { recursive: true });
}
for (const [path, text] of shellPages()) writeFileSync(new URL(path, root), text);
