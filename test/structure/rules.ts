import { type SourceFile, withoutComments } from './source-files.ts';

/** A rule by its id, as pages define it and code cites it: `B12`, `config-api 3.6`, `promise 2`. */
export type RuleId = string;

const DEFINED = /^- \*\*([^*]+)\*\*/gm;
/** A rule of others that is told so that nobody looks for it. */
const ABSENT = /^- \*\*([^*]+)\*\* Not here: /gm;
/** `B6`, ranges as `B6-B9`, and the two kinds of rules whose ids are two words. Not after a letter, digit or colon: addresses. */
const CITED = /(?<![\w:.#-])([BCEHKW])(\d{1,3})(?:-([BCEHKW])(\d{1,3}))?(?!\w|::|[:.]\w)|\b(config-api \d+\.\d+|promise \d+)\b/g;

/** Ids that the pages of docs/rules define, in order of the pages; an id that is defined twice comes twice. */
export function definedRules(pages: readonly SourceFile[]): RuleId[] {
  return pages.flatMap(({ text }) => [...text.matchAll(DEFINED)].map(([, id]) => id ?? ''));
}

/** Ids of behaviours that pages say are not here. */
export function absentRules(pages: readonly SourceFile[]): RuleId[] {
  return pages.flatMap(({ text }) => [...text.matchAll(ABSENT)].map(([, id]) => id ?? ''));
}

/** Ids that a text cites, each once; a range cites what lies between. */
export function citedRules(text: string): RuleId[] {
  const found = new Set<RuleId>();
  for (const [, letter, first, , last, words] of text.matchAll(CITED)) {
    if (words !== undefined) found.add(words);
    else for (let at = Number(first); at <= Number(last ?? first); at++) found.add(`${letter}${at}`);
  }
  return [...found];
}

/** What is wrong with the pages: ids that code cites and no page defines, ids defined twice. */
export function ruleProblems(pages: readonly SourceFile[], code: readonly SourceFile[]): string[] {
  const defined = definedRules(pages);
  const known = new Set(defined);
  const absent = new Set(absentRules(pages));
  const problems = defined.filter((id, at) => defined.indexOf(id) !== at).map((id) => `${id} is defined twice`);
  for (const { path, text } of code) {
    for (const id of citedRules(text)) {
      if (!known.has(id)) problems.push(`${path} cites ${id}, which docs/rules does not define`);
      else if (absent.has(id)) problems.push(`${path} cites ${id}, which docs/rules says is not here`);
    }
  }
  return problems;
}

/** Rules that are here and that no test and no check of the test bed names; a comment is no name. */
export function untestedRules(pages: readonly SourceFile[], tests: readonly SourceFile[]): RuleId[] {
  const told = new Set([...tests.flatMap(({ text }) => citedRules(withoutComments(text))), ...absentRules(pages)]);
  return definedRules(pages).filter((id) => !told.has(id));
}

/** docs/rules/README.md: what the pages are, and which rules have no test yet. */
export function rulesIndex(pages: readonly SourceFile[], tests: readonly SourceFile[]): string {
  const rows = pages.map(({ path, text }) => {
    const name = path.replace(/^docs\/rules\//, '');
    const page = [{ path, text }];
    const counts = [definedRules(page).length - absentRules(page).length, absentRules(page).length];
    return `| [${name}](${name}) | ${/^# (.*)$/m.exec(text)?.[1] ?? ''} | ${counts.join(' | ')} |`;
  });
  const untested = untestedRules(pages, tests);
  return [
    '# Rules',
    '',
    'Numbered behaviours that code comments and test names cite. A rule is added with the code that keeps it; a structure test holds',
    'this folder against the tree. `make rules` runs the tests that name them and prints what became of each. Written by',
    '`node scripts/rules-page.ts`.',
    '',
    '| page | title | rules | not here |',
    '|---|---|---|---|',
    ...rows,
    '',
    '## Without a test that names them',
    '',
    untested.length === 0 ? 'None.' : `${untested.join(', ')}.`,
    '',
  ].join('\n');
}
