// Writes docs/capabilities.md from the table in src/model/rights/capabilities.ts.
import { writeFileSync } from 'node:fs';
import { capabilitiesPage } from '../test/structure/capabilities.ts';

writeFileSync(new URL('../docs/capabilities.md', import.meta.url), capabilitiesPage());
