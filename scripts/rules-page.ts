// Writes docs/rules/README.md: the pages of rules, and the rules that no test names.
import { writeFileSync } from 'node:fs';
import { provingFiles, rulePages } from '../test/structure/rule-pages.ts';
import { rulesIndex } from '../test/structure/rules.ts';

writeFileSync(new URL('../docs/rules/README.md', import.meta.url), rulesIndex(rulePages(), provingFiles()));
