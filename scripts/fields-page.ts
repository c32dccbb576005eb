// Writes docs/fields.md from the tables of src/control-plane/kinds.
import { writeFileSync } from 'node:fs';
import { fieldsPage } from '../test/structure/fields.ts';

writeFileSync(new URL('../docs/fields.md', import.meta.url), fieldsPage());
