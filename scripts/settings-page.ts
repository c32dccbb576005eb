// Writes docs/settings.md from the tables in src/model/settings and src/model/mesh/ports.ts.
import { writeFileSync } from 'node:fs';
import { readTables, settingsPage } from '../test/structure/settings.ts';

writeFileSync(new URL('../docs/settings.md', import.meta.url), settingsPage(await readTables()));
