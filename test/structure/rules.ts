import type { SourceFile } from './source-files.ts';

/** A rule by its id, as pages define it and code cites it: `B12`, `config-api 3.6`, `promise 2`. */
export type RuleId = string;

const DEFINED = /^- \*\*([^*]+)\*\*/gm;
/** `B6`, ranges as `B6-B9`, and the two kinds of rules whose ids are two words. Not after a letter, digit or colon: addresses. */
const CITED = /(?<![\w:.#-])([BCEHKW])(\d{1,3})(?:-([BCEHKW])(\d{1,3}))?(?!\w|::|[:.]\w)|\b(config-api \d+\.\d+|promise \d+)\b/g;

/** Ids that the pages of docs/rules define, in order of the pages; an id that is defined twice comes twice. */
export function definedRules(pages: readonly SourceFile[]): RuleId[] {
  return pages.flatMap(({ text }) => [...text.matchAll(DEFINED)].map(([, id]) => id ?? ''));
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
  const problems = defined.filter((id, at) => defined.indexOf(id) !== at).map((id) => `${id} is defined twice`);
  for (const { path, text } of code) {
    for (const id of citedRules(text)) if (!known.has(id)) problems.push(`${path} cites ${id}, which docs/rules does not define`);
  }
  return problems;
}

/** Defined rules that no test and no check of the test bed cites. */
export function untestedRules(pages: readonly SourceFile[], tests: readonly SourceFile[]): RuleId[] {
  const tested = new Set(tests.flatMap(({ text }) => citedRules(text)));
  return definedRules(pages).filter((id) => !tested.has(id));
}

/** docs/rules/README.md: what the pages are, and which rules have no test yet. */
export function rulesIndex(pages: readonly SourceFile[], tests: readonly SourceFile[]): string {
  const rows = pages.map(({ path, text }) => {
    const name = path.replace(/^docs\/rules\//, '');
    return `| [${name}](${name}) | ${/^# (.*)$/m.exec(text)?.[1] ?? ''} | ${definedRules([{ path, text }]).length} |`;
  });
  const untested = untestedRules(pages, tests);
  return [
    '# Rules',
    '',
    'Numbered behaviours that code comments and test names cite. A rule is added with the code that keeps it; a structure test holds',
    'this folder against the tree. Written by `node scripts/rules-page.ts`.',
    '',
    '| page | title | rules |',
    '|---|---|---|',
    ...rows,
    '',
    '## Without a test that names them',
    '',
    untested.length === 0 ? 'None.' : `${untested.join(', ')}.`,
    '',
  ].join('\n');
}
